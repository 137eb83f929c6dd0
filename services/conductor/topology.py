"""The topology of a run, as a value: which roles there are, how each is started, what it needs, where it listens.

The local start and the tests read it; the chart has exactly these roles, ports and programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path


class Home(StrEnum):
    """Who starts a role's processes and restarts them."""

    CHILD = "child"  # the conductor, as a child process; in a cluster a workload of its own
    WORKLOAD = "workload"  # `ramp up`, as a child process; in a cluster a workload of its own
    RAY_ACTOR = "ray actor"  # the conductor, as Ray actors
    RAY_TRAIN = "ray train"  # Ray Train, asked by the conductor
    SELF = "self"  # whoever types `ramp run`; in a cluster a Ray job


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A port that a role listens on. `number` holds in a cluster; on one machine free ports are taken."""

    name: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """One kind of process of a run. Its name is its component in a cluster, too."""

    name: str
    home: Home
    program: str  # an executable, or the Python module that holds the entry
    arguments: tuple[str, ...] = ()  # in a cluster; `{release}` and `{pod}` (host name with domain) are filled in
    ports: tuple[Port, ...] = ()
    replicas: str = "1"  # a number, or the setting that says it
    needs: tuple[str, ...] = ()  # roles that have to be up first
    keeps: tuple[str, ...] = ()  # what of the run directory is its state; empty: it may be lost at any time

    def port(self, name: str) -> int:
        """Its number in a cluster; KeyError where there is none of that name."""
        return {each.name: each.number for each in self.ports}[name]


METRICS = "metrics"

# Where things lie in a cluster.
SETTINGS = Path("/etc/ramp/settings.yaml")
TOKENS = Path("/etc/ramp/tokens/tokens.yaml")
SECRETS = Path("/etc/ramp/secrets")
CERTIFICATES = Path("/etc/ramp/tls")
DATA = Path("/data")
RUNS = Path("/runs")

ROLES: tuple[Role, ...] = (
    Role(name="redis", home=Home.CHILD, program="redis-server", ports=(Port(name="redis", number=6379),)),
    Role(
        name="replay",
        home=Home.CHILD,
        program="services.replay.main",
        arguments=(
            *("--settings", str(SETTINGS), "--dir", str(DATA / "replay"), "--host", "0.0.0.0", "--port", "7001"),
            *("--shard-from-hostname", "--advertise", "{pod}:7001", "--metrics-port", "9101"),
        ),
        ports=(Port(name="grpc", number=7001), Port(name="flight", number=7002), Port(name=METRICS, number=9101)),
        replicas="replay.shards",
        keeps=("replay",),
    ),
    Role(
        name="policy",
        home=Home.WORKLOAD,
        program="services.policy.main",
        arguments=(
            *("--settings", str(SETTINGS), "--dir", str(RUNS / "{release}"), "--host", "0.0.0.0"),
            *("--port", "7003", "--metrics-port", "9104"),
        ),
        ports=(Port(name="grpc", number=7003), Port(name=METRICS, number=9104)),
    ),
    Role(
        name="actor",
        home=Home.RAY_ACTOR,
        program="services.actor.worker",
        ports=(Port(name=METRICS, number=9102),),
        replicas="actors.count",
        needs=("redis", "replay"),
        keeps=("spool",),
    ),
    Role(
        name="learner",
        home=Home.RAY_TRAIN,
        program="services.learner.group",
        ports=(Port(name=METRICS, number=9103),),
        replicas="learner.workers",
        needs=("redis", "replay"),
        keeps=("registry", "checkpoints"),
    ),
    Role(
        name="conductor",
        home=Home.SELF,
        program="services.cli.main",
        arguments=("run", "--dir", str(RUNS / "{release}"), "--config", str(SETTINGS), "--keep-going"),
        ports=(Port(name=METRICS, number=9100),),
        needs=("redis", "replay"),
        keeps=("journal.jsonl", "settings.yaml", "tokens.yaml", "secrets"),
    ),
)


def role(name: str, roles: Sequence[Role] = ROLES) -> Role:
    """The role of that name; KeyError where there is none."""
    return {each.name: each for each in roles}[name]


def command(one: Role, *, release: str, pod: str = "") -> tuple[str, ...]:
    """How a container of a cluster starts it: a program on PATH with its arguments. Ray starts the roles without."""
    words = tuple(word.format(release=release, pod=pod) for word in one.arguments)
    if one.home is Home.SELF:
        return ("ramp", *words)
    return ("python", "-m", one.program, *words) if "." in one.program else (one.program, *words)


def workloads(roles: Sequence[Role] = ROLES) -> tuple[Role, ...]:
    """The roles that `ramp up` starts beside the run."""
    return tuple(each for each in roles if each.home is Home.WORKLOAD)


def start_order(roles: Sequence[Role] = ROLES) -> tuple[str, ...]:
    """Names such that every role comes after what it needs. Raises CycleError for roles that need each other."""
    return tuple(TopologicalSorter({each.name: each.needs for each in roles}).static_order())


def children(roles: Sequence[Role] = ROLES) -> tuple[Role, ...]:
    """The roles that the conductor starts as child processes, in the order of starting."""
    named = {each.name: each for each in roles}
    return tuple(named[name] for name in start_order(roles) if named[name].home is Home.CHILD)
