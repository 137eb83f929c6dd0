"""Where a run takes place: processes, addresses, threads. What the run is stands in ramp/recipes/recipe.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LearnerPlace:
    """The learner group that Ray Train launches."""

    workers: int = 1  # DeepSpeed processes
    threads: int = 2  # torch threads of each, while no actor needs the cores (stages 1 and 2)
    joint_threads: int = 1  # torch threads of each beside busy actors: OpenMP's spin where they lack cores of their own
    checkpoint_every: int = 250  # updates between DeepSpeed checkpoints
    zero_stage: int = 0  # ZeRO stage, 0 to 2


@dataclass(frozen=True, kw_only=True)
class ActorsPlace:
    """The rollout actors."""

    count: int = 2  # Ray actors, one process each
    threads: int = 1  # torch threads of each
    batch_steps: int = 50  # steps in one append to the replay service
    episode_s: float = 180.0  # longest that an episode may take; an actor that needs longer hangs, and is replaced


@dataclass(frozen=True, kw_only=True)
class ReplayPlace:
    """The replay servers."""

    address: str = ""  # host:port of a running one, or NAME=host:port,... of several shards; empty: start children
    shards: int = 1  # children started, each with its part of the episodes; a resumed run may have more, never fewer
    host: str = "127.0.0.1"  # where the children listen
    port: int = 0  # of the first child, the others' follow; 0 takes free ones
    token_env: str = ""  # environment variable that holds the token; empty: no token
    segment_mib: int = 64  # size at which a segment on disk is closed
    max_message_mib: int = 32  # bound on one gRPC message
    mounts: tuple[str, ...] = ()  # LeRobot folders served as read-only tables, NAME:FOLDER or NAME:FOLDER:OUTCOME each


@dataclass(frozen=True, kw_only=True)
class RedisPlace:
    """Presence, streams and commands; never the only copy of anything."""

    url: str = ""  # redis://host:port/db of a running one; empty: start a child


@dataclass(frozen=True, kw_only=True)
class RayPlace:
    """The Ray cluster."""

    address: str = ""  # of a running cluster; empty: start a local one
    object_store_mib: int = 128  # shared memory of the local one; no bulk data crosses it


@dataclass(frozen=True, kw_only=True)
class MetricsPlace:
    """Prometheus endpoints: every process has one."""

    host: str = "127.0.0.1"  # where they listen
    port: int = 0  # the conductor's; 0 takes a free one, as all other processes do; presence tells which
