"""The loop under a real Prometheus: every panel's and every rule's expression returns data, where something has failed
too. Parts that this run does not have are named as not tried."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import pytest

from ramp.errors import Invalid, Unauthenticated
from ramp.types import Kind
from services.clients.credentials import Credentials, own_credentials
from services.clients.registry import DirectoryRegistry
from services.clients.releases import Releases
from services.clients.replay import ReplayClient
from services.common.settings import load_settings
from services.common.tokens import Role
from services.conductor import journal
from services.conductor.fleet import free_port
from tests.certificates import Authority
from tests.experience import make_header
from tests.loop.launched import LaunchedRun
from tests.prometheus import Prometheus
from tests.tooling import tool
from tests.unit.sources import ROOT
from tests.waiting import eventually

pytest.importorskip("grafana_foundation_sdk", reason="the builders are a development package; run make setup")

from services.dashboards.alerts import EVERY
from services.dashboards.generated import BOARDS

pytestmark = [pytest.mark.loop, pytest.mark.timeout(600), pytest.mark.xdist_group("run")]

RULES = ROOT / "helm" / "ramp" / "rules" / "ramp.yaml"
LONG = (
    "stages.joint_updates=4000",
    "training.publish_every=30",
    "training.relabel_every=1000",
    "env.image_encoding=png",
)
ELSEWHERE = ("ramp_policy_", "ramp_replay_backup_seconds")  # parts that a run may be without


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What Prometheus answered in the end: names of panels and rules."""

    without_data: tuple[str, ...]
    not_tried: tuple[str, ...]
    sick: tuple[str, ...]  # rules that could not be evaluated


def expressions() -> dict[str, str]:
    """Of all panels and rules, as this run can answer them within its minute."""
    found = {
        f"{board.title} / {panel.title} / {query.legend}": query.expression
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    }
    found |= {alert.name: re.sub(r" [<>] \S+$", "", alert.expression) for alert in EVERY}
    return {name: _here(expression) for name, expression in found.items()}


def _here(expression: str) -> str:
    """With the variables as Grafana fills them in for everything, and without the hours before the run."""
    filled = re.sub(r"\$(namespace|release|task|shard)\b", ".*", expression.replace("$__rate_interval", "20s"))
    return filled.replace("offset 6h", "offset 1s").replace(") > 20)", ") > 0)")


def not_here(prometheus: Prometheus, wanted: Mapping[str, str]) -> set[str]:
    """Names of expressions about a part that no process of this run is."""
    absent = [part for part in ELSEWHERE if not prometheus.ask(f'{{__name__=~"{part}.*"}} > 0')]
    absent += [] if prometheus.ask('up{component="policy"}') else ['component="policy"']
    return {name for name, expression in wanted.items() if any(part in expression for part in absent)}


def unanswered(prometheus: Prometheus, wanted: Mapping[str, str]) -> dict[str, str]:
    return {name: expression for name, expression in wanted.items() if not prometheus.ask(expression)}


def refused(run: LaunchedRun) -> None:
    """A stranger is sent away, and an episode of somebody else's schema."""
    settings = load_settings(run.folder / "settings.yaml")
    address = (run.folder / "replay" / "address").read_text().strip()
    known = own_credentials(settings, Role.ACTOR)
    with ReplayClient(address, name="known", credentials=known) as client:
        client.wait_ready(60.0)
    nobody = Credentials(token="no", ca=known.ca)
    with ReplayClient(address, name="stranger", credentials=nobody) as stranger, pytest.raises(Unauthenticated):
        stranger.info()
    with ReplayClient(address, name="wrong", credentials=known) as wrong, pytest.raises(Invalid):
        wrong.open(make_header("wrong", tables=("online",)))


def released(run: LaunchedRun) -> None:
    """One version after the other is let out to robots, and the second taken back."""
    registry = DirectoryRegistry(run.folder / "registry")
    run.until(lambda: (registry.resolve(Kind.POLICY, "latest") or 0) >= 2)
    releases = Releases(registry)
    for version in (1, 2):
        releases.promote("stable", version, who="ada", why="a test", numbers={})
    releases.rollback("stable", who="ada", why="a test")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """A run with TLS, of which one replay server is killed, one append refused and one version taken back, until
    everything has been seen."""
    tool("prometheus")
    folder, authority = tmp_path_factory.mktemp("watched"), Authority(tmp_path_factory.mktemp("tls"), "ca")
    files = authority.issue("server")
    tls = (
        f"replay.tls.certificate={files.certificate}",
        f"replay.tls.key={files.key}",
        f"replay.tls.ca={authority.path}",
    )
    run = LaunchedRun(folder / "run", "counting", *LONG, *tls)
    prometheus = Prometheus(folder / "prometheus", folder / "run" / "prometheus.json", RULES, free_port("127.0.0.1"))
    try:
        run.until(run.is_in_joint_stage)
        os.kill(run.pids("replay")[0], signal.SIGKILL)
        run.until(lambda: any(event.what == "restarted" for event in run.news(journal.Process)))
        refused(run)
        released(run)
        wanted = dict(expressions())

        def all_answered() -> bool:
            for name in wanted.keys() - unanswered(prometheus, wanted).keys():
                del wanted[name]
            return not wanted.keys() - not_here(prometheus, wanted)

        with suppress(AssertionError):  # what is missing is named below
            eventually(all_answered, 180)
        absent = not_here(prometheus, wanted)
        sick = [rule["name"] for rule in prometheus.rules() if rule["health"] == "err"]
        yield Seen(
            without_data=tuple(sorted(wanted.keys() - absent)), not_tried=tuple(sorted(absent)), sick=tuple(sick)
        )
    finally:
        run.kill()
        prometheus.close()


def test_every_panel_and_every_rule_has_data(seen: Seen) -> None:
    assert seen.without_data == ()
    assert seen.sick == ()


def test_what_was_not_tried_is_named(seen: Seen) -> None:
    if seen.not_tried:
        pytest.skip(f"this run has no such part: {'; '.join(seen.not_tried)}")
