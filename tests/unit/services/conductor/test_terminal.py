"""The terminal: a live picture where there is one, plain lines where there is none."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from services.conductor.quantities import clock
from services.conductor.terminal import Terminal, fresh, gauge, line, picture
from services.conductor.view import ActorView, LearnerView, ProcessView, RunView, Score, TableView, TaskView

BARE = RunView(
    recipe="debug",
    run_dir="runs/x",
    stage="demos",
    activity="demonstrations",
    seconds=0.0,
    left_s=None,
    progress=0.0,
    policy_version=0,
    world_version=0,
    annotation_version=0,
    tasks=(),
    tables=(),
    actors=(),
    actor_steps_per_s=0.0,
    learner=None,
    waits=(),
    processes=(),
    memory_bytes=0,
    peak_bytes=0,
    redis_up=True,
    replay_up=True,
)
TASK = TaskView(
    task="hammer-v3",
    demos=16,
    demos_wanted=16,
    rollouts=20,
    recent=Score(successes=9, trials=20, low=0.26, high=0.66),
    human_share=0.4,
    stage2=Score(successes=12, trials=50, low=0.14, high=0.37),
    interim=None,
    final=None,
    policy_age=0.6,
)
BUSY = replace(
    BARE,
    stage="joint",
    seconds=611.0,
    left_s=372.0,
    progress=0.45,
    policy_version=7,
    world_version=2,
    tasks=(TASK,),
    tables=(TableView(name="online", episodes=62, items=2711, inserted=2711, sampled=5422, labelled=0.8, lead=-1200),),
    actors=(ActorView(name="actor-1", doing="eval hammer-v3", episodes=48, steps_per_s=79.0, restarts=1),),
    learner=LearnerView(
        stage="joint", update=1350, total=3000, updates_per_s=7.1, wait_share=0.03, losses={"policy/flow": 0.0412}
    ),
    waits=("actors wait for the rate limiter of `online`",),
    processes=(ProcessView(name="replay", state="down", pid=4, restarts=2, memory_bytes=1),),
    messages=("policy v7 published",),
)


def drawn(view: RunView, width: int = 140, height: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(picture(view, width=width, height=height))
    return console.file.getvalue()  # type: ignore[attr-defined]


def plain(*views: RunView, every_s: float = 1e9) -> list[str]:
    file = io.StringIO()
    with Terminal(Console(file=file, force_terminal=False, width=60), every_s=every_s) as terminal:
        for view in views:
            terminal.show(view)
    return file.getvalue().splitlines()


def test_the_picture_says_what_an_operator_asks() -> None:
    text = drawn(BUSY)

    for part in ("10:11", "6:12 left", "joint", "45 %", "hammer-v3", "12/50", "14-37 %", "40 %", "0.6 v"):
        assert part in text
    for part in (
        "1350/3000 at 7.1/s",
        "waiting for data 3 %",
        "policy/flow 0.0412",
        "v7",
        "79 steps/s",
        "restarted 1x",
    ):
        assert part in text
    for part in ("actors wait for the rate limiter", "replay down", "policy v7 published", "2.0", "80 %"):
        assert part in text


@pytest.mark.parametrize("width", [60, 80, 100, 126, 200])
@pytest.mark.parametrize("view", [BARE, BUSY], ids=["bare", "busy"])
def test_the_picture_fits_every_width(view: RunView, width: int) -> None:
    assert max(len(row) for row in drawn(view, width).splitlines()) <= width


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (140, 24)])
def test_what_waits_what_is_lost_and_who_works_is_seen_on_an_ordinary_terminal(width: int, height: int) -> None:
    view = replace(
        BUSY,
        tasks=tuple(replace(TASK, task=f"task-{number}") for number in range(5)),
        tables=2 * BUSY.tables,
        actors=2 * BUSY.actors,
        messages=tuple(f"message {number}" for number in range(50)),
    )
    rows = drawn(view, width, height).splitlines()

    assert len(rows) <= height
    for part in ("actors wait for the rate limiter", "replay down", "task-4", "0.6 v", "1350/3000", "steps/s"):
        assert part in "\n".join(rows)


def test_where_there_is_no_bound_nothing_is_left_out() -> None:
    text = drawn(replace(BUSY, messages=tuple(f"message {number}" for number in range(50))), 60)

    for part in ("actors wait", "hammer-v3", "policy/flow", "online", "actor-1", "memory", "message 49"):
        assert part in text


def test_services_that_do_not_answer_are_named() -> None:
    text = drawn(replace(BUSY, replay_up=False, redis_up=False))

    assert "the replay server does not answer" in text
    assert "redis does not answer" in text


def test_without_a_terminal_each_state_is_one_unwrapped_line_and_each_message_is_printed_once() -> None:
    rows = plain(BUSY, replace(BUSY, seconds=612.0, messages=("policy v7 published", "actor-1 died")))

    assert rows[0] == "[10:11] policy v7 published"
    assert rows[1] == line(BUSY)
    assert rows[2:] == ["[10:12] actor-1 died"]


def test_plain_lines_come_as_often_as_asked() -> None:
    assert len(plain(BARE, BARE, BARE, every_s=0.0)) == 3


def test_a_live_terminal_is_drawn_on_and_left_as_it_was() -> None:
    file = io.StringIO()
    with Terminal(Console(file=file, force_terminal=True, width=140, height=50)) as terminal:
        assert terminal.is_live
        terminal.show(BUSY)
        terminal.say("stopping [in order]")

    assert "hammer-v3" in file.getvalue()
    assert "stopping [in order]" in file.getvalue()
    assert file.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is shown again


def test_what_libraries_print_does_not_get_into_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    with Terminal(Console(file=file, force_terminal=True, width=140, height=50)) as terminal:
        terminal.show(BUSY)
        print("a warning", file=sys.stderr)
        print("a notice")

    assert "a warning" not in file.getvalue()
    assert "a notice" not in file.getvalue()
    assert capsys.readouterr() == ("a notice\n", "a warning\n")


@pytest.mark.parametrize("live", [False, True])
def test_a_run_goes_on_where_nobody_looks_any_more(live: bool) -> None:
    reader, writer = os.pipe()
    file = os.fdopen(writer, "w")
    with Terminal(Console(file=file, force_terminal=live, width=140, height=50), every_s=0.0) as terminal:
        terminal.show(BARE)
        os.close(reader)
        terminal.show(BUSY)
        terminal.say("stopping")
    with contextlib.suppress(BrokenPipeError):  # of what was not written
        file.close()


@pytest.mark.parametrize("live", [False, True])
def test_a_run_goes_on_where_its_terminal_has_gone(live: bool) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise OSError(5, "Input/output error")

    with Terminal(Console(file=Gone(), force_terminal=live, width=140, height=50), every_s=0.0) as terminal:
        terminal.show(BUSY)
        terminal.say("stopping")


@pytest.mark.parametrize(
    ("said", "messages", "new"),
    [
        ((), ("a", "b"), ("a", "b")),
        (("a", "b"), ("a", "b"), ()),
        (("a", "b"), ("b", "c"), ("c",)),
        (("a", "b"), ("x", "y"), ("x", "y")),
        (("a", "b", "a"), ("b", "a", "b"), ("b",)),
    ],
)
def test_messages_are_new_once(said: tuple[str, ...], messages: tuple[str, ...], new: tuple[str, ...]) -> None:
    assert tuple(fresh(said, messages)) == new


def test_a_gauge_shows_the_interval_and_the_rate() -> None:
    assert gauge(Score(successes=5, trials=10, low=0.2, high=0.8), width=10).plain == "··━━━●━━━·"
    assert gauge(Score(successes=10, trials=10, low=0.7, high=1.0), width=10).plain == "·······━━●"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (751, "12:31"), (7500, "2:05:00"), (None, "?")]
)
def test_a_clock_is_read_as_a_clock(seconds: float | None, text: str) -> None:
    assert clock(seconds) == text
