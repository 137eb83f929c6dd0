"""Where a run takes place: processes, addresses, threads. What the run is stands in ramp/recipes/recipe.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from services.common.quotas import Quota
from services.common.tls import CertificateFiles
from services.common.tokens import Role

ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")  # name of a pointer to a version in the registry
STANDARD, EFFICIENT = MODES = ("standard", "efficient")
"""How a policy decides: told by its world model, or without it."""


@dataclass(frozen=True, kw_only=True)
class LearnerPlace:
    """The learner group that Ray Train launches."""

    workers: int = 1  # DeepSpeed processes
    threads: int = 2  # torch threads of each, while no actor needs the cores (stages 1 and 2)
    joint_threads: int = 1  # torch threads of each beside busy actors: OpenMP's spin where they lack cores of their own
    checkpoint_every: int = 250  # updates between DeepSpeed checkpoints
    zero_stage: int = 0  # ZeRO stage, 0 to 2
    decode_threads: int = 4  # that turn JPEG and PNG frames into pixels, of each; idle where frames are raw
    metrics_port: int = 0  # of each; 0 takes free ones
    resource: str = ""  # custom Ray resource of which each takes 1: it runs where that is; empty: on any node


@dataclass(frozen=True, kw_only=True)
class ActorsPlace:
    """The rollout actors."""

    count: int = 2  # Ray actors, one process each
    threads: int = 1  # torch threads of each
    batch_steps: int = 50  # steps in one append to the replay service
    episode_s: float = 180.0  # longest that an episode may take; an actor that needs longer hangs, and is replaced
    metrics_port: int = 0  # of each; 0 takes free ones
    resource: str = ""  # custom Ray resource of which each takes 1: it runs where that is; empty: on any node


@dataclass(frozen=True, kw_only=True)
class TLSPlace:
    """Certificates of the replay server and of the run's own clients: PEM files, by absolute paths."""

    certificate: str = ""  # of the child, its chain behind it; empty: no TLS
    key: str = ""  # its private key, which nobody else may read
    client_ca: str = ""  # serve only clients that show a certificate of this CA (mTLS); empty: all that have a token
    ca: str = ""  # by which the run's clients know the server; empty: they expect no TLS
    client_certificate: str = ""  # that the run's clients show, for mTLS
    client_key: str = ""  # its private key

    def files(self) -> CertificateFiles | None:
        """The server's; None without TLS."""
        if not self.certificate:
            return None
        client_ca = Path(self.client_ca) if self.client_ca else None
        return CertificateFiles(certificate=Path(self.certificate), key=Path(self.key), client_ca=client_ca)


@dataclass(frozen=True, kw_only=True)
class QuotasPlace:
    """What one client of the replay server may use, by its token's role or name."""

    robot: Quota = field(default_factory=lambda: Quota(mib_s=64.0, episodes=4, calls=4))
    actor: Quota = field(default_factory=Quota)
    learner: Quota = field(default_factory=Quota)
    operator: Quota = field(default_factory=Quota)
    clients: tuple[str, ...] = ()  # of single clients, instead of their role's: NAME:MIB_S:EPISODES:CALLS each

    def by_role(self) -> dict[Role, Quota]:
        return {
            Role.ROBOT: self.robot,
            Role.ACTOR: self.actor,
            Role.LEARNER: self.learner,
            Role.OPERATOR: self.operator,
        }


@dataclass(frozen=True, kw_only=True)
class BackupPlace:
    """Backups that replay servers and the conductor make by themselves, each of what lies on its own disk."""

    url: str = ""  # folder or bucket, as file:///backups/arms or s3://bucket/arms; empty: none are made
    every_h: float = 24.0  # hours from one to the next
    keep: int = 7  # of each part; older ones go


@dataclass(frozen=True, kw_only=True)
class ReplayPlace:
    """The replay servers."""

    address: str = ""  # host:port of a running one, or NAME=host:port,... of several shards; empty: start children
    shards: int = 1  # children started, each with its part of the episodes; a resumed run may have more, never fewer
    host: str = "127.0.0.1"  # where the children listen
    port: int = 0  # of the first child, the others' follow; 0 takes free ones
    flight_port: int = 0  # of the first child's Flight door for bulk data, the others' follow; 0 takes free ones
    tokens: str = ""  # file that says who may come in (`ramp token`); empty: tokens.yaml in the run's directory
    secrets: str = ""  # folder with the run's own tokens, a file per role; empty: secrets/ in the run's directory
    exposed: bool = False  # let the children serve other machines without TLS: whoever reaches them may read everything
    calls: int = 128  # at once, streams among them, beside those of the run's own actors and learners
    connections: int = 2048  # at once; more are closed when they come
    tls: TLSPlace = field(default_factory=TLSPlace)
    quotas: QuotasPlace = field(default_factory=QuotasPlace)
    backup: BackupPlace = field(default_factory=BackupPlace)
    segment_mib: int = 64  # size at which a segment on disk is closed
    scrub_mib_per_s: int = 32  # of closed segments, compared with their checksums beside everything else; 0: never
    max_message_mib: int = 32  # bound on one gRPC message
    mounts: tuple[str, ...] = ()  # LeRobot folders served as read-only tables, NAME:FOLDER or NAME:FOLDER:OUTCOME each


@dataclass(frozen=True, kw_only=True)
class ServingPlace:
    """The policy server. Tokens, quotas and certificates are replay's: one door key for both."""

    host: str = "127.0.0.1"  # where it listens
    port: int = 0  # 0 takes a free one
    alias: tuple[str, ...] = ("stable", "latest")  # serve the version of the first of these aliases that there is
    mode: str = STANDARD  # standard, or efficient: without the world model, which is not even loaded
    max_batch: int = 8  # requests that one run of the model answers at most
    max_wait_ms: float = 2.0  # that the first request of a batch waits for company
    queue: int = 64  # requests that may wait; more are refused with a time to come again
    threads: int = 1  # torch threads of the model
    versions: int = 3  # kept in memory, for episodes that began with them
    look_s: float = 1.0  # between looks at the registry
    drain_s: float = 20.0  # for requests in hand, once the server is told to stop
    calls: int = 128  # at once; each is a thread while it lasts
    connections: int = 2048  # at once; more are closed when they come


@dataclass(frozen=True, kw_only=True)
class ReleasePlace:
    """When a version is let on robots, and when it is taken back."""

    min_starts: int = 30  # held-out starts, of all tasks together, on which both versions must have been tried
    min_gain: float = -0.05  # lower bound (95 %) of the difference in success to the stable one must be at least this
    rollback_episodes: int = 20  # since the promotion, before it is judged
    rollback_drop: float = 0.05  # rolled back where success is sure to have fallen by more than this
    rollback_rise: float = 0.1  # rolled back where the share of episodes with a takeover is sure to have risen by more


@dataclass(frozen=True, kw_only=True)
class RedisPlace:
    """Presence, streams and commands; never the only copy of anything."""

    url: str = ""  # redis://host:port/db of a running one, its password in RAMP_REDIS_PASSWORD; empty: start a child
    run: str = ""  # what the run is called there; empty: as its directory, and told apart from others by the path


@dataclass(frozen=True, kw_only=True)
class RayPlace:
    """The Ray cluster."""

    address: str = ""  # of a running cluster; empty: start a local one
    object_store_mib: int = 128  # shared memory of the local one; no bulk data crosses it


@dataclass(frozen=True, kw_only=True)
class MetricsPlace:
    """Prometheus endpoints: every process has one."""

    host: str = "127.0.0.1"  # where they listen
    port: int = 0  # the conductor's; 0 takes a free one; presence tells which
