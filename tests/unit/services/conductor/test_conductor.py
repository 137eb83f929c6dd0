"""The conductor's end and its books, over parts that only pretend to run."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramp.errors import RampError, Unavailable
from ramp.replay.info import EpisodeInfo
from services.common.settings import Settings
from services.conductor import conductor as module
from services.conductor import journal
from services.conductor.conductor import Conductor
from services.conductor.fleet import Fleet
from services.conductor.journal import Event, Process
from services.conductor.rundir import RunDir
from tests.unit.services.conductor.summaries import summary


class Parts(Fleet):
    """Notes what it is asked; `upon` is called by every step of the end."""

    def __init__(self, settings: Settings, rundir: RunDir) -> None:
        super().__init__(settings, rundir)
        self.done: list[str] = []
        self.hurried: list[bool] = []
        self.upon: Callable[[str], None] = lambda step: None

    def start(self, *, with_learner: bool = True) -> Iterator[Process]:
        yield Process(name="redis", what="started")

    def supervise(self) -> Iterator[Process]:
        yield from ()

    def stop_work(self, hurry: Callable[[], bool]) -> Iterator[Process]:
        yield from self._step("work", hurry)

    def stop_services(self, hurry: Callable[[], bool]) -> Iterator[Process]:
        yield from self._step("services", hurry)

    def _step(self, name: str, hurry: Callable[[], bool]) -> Iterator[Process]:
        self.upon(name)
        self.done.append(name)
        self.hurried.append(hurry())
        yield Process(name=name, what="stopped")


class Shelf:
    """A replay client that lists what it is told to, or does not answer."""

    def __init__(self) -> None:
        self.stored: list[EpisodeInfo] = []
        self.away = False
        self.asked: list[float] = []

    def query(self, *, timeout: float) -> list[EpisodeInfo]:
        self.asked.append(timeout)
        if self.away:
            raise Unavailable("away")
        return self.stored


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Fleet", Parts)


@pytest.fixture
def run(parts: None, tmp_path: Path) -> Conductor:
    return Conductor(Settings(), RunDir(tmp_path / "run"), show=lambda view: None)


def fleet(run: Conductor) -> Parts:
    assert isinstance(run._fleet, Parts)
    return run._fleet


def test_a_signal_while_it_stops_hurries_and_leaves_no_step_out(run: Conductor) -> None:
    fleet(run).upon = lambda step: run._on_signal()
    run._on_signal()
    assert run.run() == "interrupted"
    assert fleet(run).done == ["work", "services"]
    assert fleet(run).hurried == [True, True]
    assert isinstance(journal.read(run.rundir.journal)[-1], journal.RunFinished)


def test_a_second_signal_before_it_stops_ends_it_at_once(run: Conductor) -> None:
    run._on_signal()
    with pytest.raises(Unavailable, match="second signal"):
        run._on_signal()


def test_a_step_of_the_end_that_fails_leaves_the_others_to_be_done(run: Conductor) -> None:
    def fail(step: str) -> None:
        if step == "work":
            raise Unavailable("redis died 7 times")

    fleet(run).upon = fail
    run._on_signal()
    with pytest.raises(Unavailable, match="redis died"):
        run.run()
    assert fleet(run).done == ["services"]
    assert isinstance(journal.read(run.rundir.journal)[-1], journal.RunFinished)


def test_a_full_disk_ends_the_run_with_a_remedy_and_stops_every_part(
    run: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(event: Event) -> Event:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run._journal, "write", full)
    with pytest.raises(RampError, match=r"No space left .* free some space, then ramp run --resume"):
        run.run()
    assert fleet(run).done == ["work", "services"]


def test_a_state_that_cannot_be_written_is_only_said(run: Conductor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write_json", full)
    assert "No space left" in str(run._publish() and run._messages)


def test_handed_in_episodes_are_given_up_only_while_replay_answers(
    run: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPOOL_PATIENCE_S", -1.0)
    monkeypatch.setattr(module, "ADOPT_AFTER_S", 0.0)
    shelf = Shelf()
    fleet(run).__dict__["replay"] = shelf
    run._note(journal.Episode(summary=summary("demo", "a", 1, acknowledged=False), actor="actor-0"))

    run._supervise()
    assert shelf.asked == [], "a replay that does not answer is not waited for"
    fleet(run).watch.replay.answers = shelf.away = True
    run._supervise()
    assert shelf.asked == [module.QUERY_S]
    assert list(run.ledger.unconfirmed) == ["demo-a-1"]
    shelf.away = False
    run._supervise()
    assert not run.ledger.unconfirmed


def test_what_replay_lacks_is_collected_again(run: Conductor) -> None:
    fleet(run).__dict__["replay"] = Shelf()
    run._note(journal.Episode(summary=summary("demo", "a", 1), actor="actor-0"))
    assert run.ledger.demos["a"] == 1
    assert run._adopt(1.0)
    assert run.ledger.demos["a"] == 0
