"""The two files of a report: self-contained, complete, and made of whatever is there."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from ramp.errors import NotFound
from ramp.types import Episode, Kind
from services.clients.registry import DirectoryRegistry
from services.conductor import journal, report
from services.conductor.report import write_report
from services.conductor.report.findings import TaskResult
from services.conductor.report.frames import Fetch, data_uri, develop, stretches
from services.conductor.report.gather import rate_of
from services.conductor.report.page import verdict
from tests.unit.services.conductor.report import made_run

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Outline(HTMLParser):
    """Collects what a page refers to and checks that its elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.sources += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def made(run_dir: Path, length: int | None = None, fetch: Fetch | None = None) -> tuple[str, dict]:
    """The page and the numbers of a made-up run, whose replay store is `fetch`."""
    made_run.write_journal(run_dir, made_run.whole_run()[:length])
    with mock.patch.object(report, "stored", return_value=fetch):
        html = write_report(run_dir).read_text()
    return html, json.loads((run_dir / "report.json").read_text())


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    assert parser.open == []
    return parser


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    html, _ = made(tmp_path, fetch=made_run.stored_episode)

    parser = outline(html)

    assert parser.sources
    assert all(source.startswith("data:image/") for source in parser.sources)
    assert not re.search(r"url\(|@import|https?://", html)


def test_the_page_shows_curves_values_with_frames_losses_and_times(tmp_path: Path) -> None:
    html, numbers = made(tmp_path, fetch=made_run.stored_episode)

    assert numbers["schema"] == "ramp.report/1"
    assert len(numbers["traces"]) == 2
    assert outline(html).counts["img"] == 2 * 2 * 12  # episodes, cameras, frames of a strip
    for text in ("Success while learning", "Before and after", "What the world model foresees", "People in the loop"):
        assert text in html
    for text in (
        "Losses and other curves",
        "Where the time went",
        "killed by signal 9",
        "3.0 GiB",
        "seed 7",
        "resumed 1",
    ):
        assert text in html


@pytest.mark.parametrize("length", [1, 3, 30, 60, 130])
def test_an_interrupted_run_gets_its_page_too(tmp_path: Path, length: int) -> None:
    html, numbers = made(tmp_path, length)

    outline(html)
    assert numbers["reason"] == "running"
    if length < 60:
        assert "No evaluation was finished in this run." in html


def test_frames_that_cannot_be_fetched_are_said_to_be_missing(tmp_path: Path) -> None:
    def gone(episode_id: str) -> Episode:
        raise NotFound(episode_id)

    html, _ = made(tmp_path, fetch=gone)

    assert html.count("The frames of this episode could not be read.") == 2


def test_without_a_journal_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="journal"):
        write_report(tmp_path)


def test_text_from_the_run_cannot_become_markup(tmp_path: Path) -> None:
    events = made_run.whole_run()
    events.append(made_run.journal.Process(t=made_run.START + 705, name="x", what="died", detail="<script>alert(1)"))
    made_run.write_journal(tmp_path, events)

    assert "<script>alert(1)" not in write_report(tmp_path).read_text()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ((20, 100), (60, 100), "lies above the interval before"),
        ((50, 100), (63, 100), "the two intervals overlap"),
        ((50, 100), (52, 100), "no difference is shown"),
        ((60, 100), (20, 100), "lies below the interval before"),
    ],
)
def test_the_verdict_says_what_the_intervals_say(before: tuple[int, int], after: tuple[int, int], says: str) -> None:
    assert says in verdict(TaskResult(task="", before=rate_of(*before), after=rate_of(*after)))


def test_a_films_frames_keep_their_steps_and_a_persons_stretches() -> None:
    film = develop(made_run.stored_episode("x"))

    assert film.steps[:3] == (0, 4, 8)
    assert {len(frames) for frames in film.cameras.values()} == {len(film.steps)}
    assert film.human == ((30, 49),)


def test_pictures_for_people_show_no_depth() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    assert data_uri(frame) == data_uri(frame[..., :3])


def test_stretches_are_found_at_both_ends() -> None:
    assert stretches(np.array([True, True, False, True])) == ((0, 1), (3, 3))
    assert stretches(np.zeros(3, bool)) == ()


def test_an_alias_stands_at_the_version_that_holds_it(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path / "registry")
    for _ in range(2):
        registry.publish(Kind.POLICY, {"w": torch.zeros(1)}, {})
    registry.alias(Kind.POLICY, "latest", 2)
    registry.alias(Kind.POLICY, "final", 2)
    seen = [journal.Version(t=made_run.START + n, kind="policy", version=n, aliases=("latest",)) for n in (1, 2)]
    made_run.write_journal(tmp_path, [made_run.started(), *seen])

    write_report(tmp_path)

    rows = json.loads((tmp_path / "report.json").read_text())["versions"]
    assert [sorted(row["aliases"]) for row in rows] == [[], ["final", "latest"]]
