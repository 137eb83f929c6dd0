"""What a person sees while a run is running: a live picture on a terminal, plain lines everywhere else.

Consumes: RunView values from the conductor's loop. Produces: text. Waits for: nothing. A closed pipe or a terminal that
has gone raises nothing: a run must not end because nobody is looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from time import monotonic
from types import TracebackType
from typing import IO, cast

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from services.conductor.fitted import Fitted, Part
from services.conductor.journal import STAGES
from services.conductor.quantities import clock, percent, size
from services.conductor.screen import Screen
from services.conductor.view import ActorView, LearnerView, ProcessView, RunView, Score, ShardView, TableView, TaskView

GAUGE_WIDTH = 16
MESSAGES = 12  # at most, beneath the picture
WIDE = 126  # columns that the whole table of tasks needs
STATE_STYLE = {"up": "green", "starting": "yellow", "down": "bold red", "stopped": "dim"}


class Terminal:
    """Shows one run, from `with` to its end.

    Example: with Terminal() as terminal: terminal.show(view)
    """

    def __init__(self, console: Console | None = None, *, every_s: float = 10.0) -> None:
        """`every_s`: seconds between plain lines where there is no terminal; messages are printed at once."""
        self.console = console or Console()
        self.console.file = cast(IO[str], Screen(self.console.file))
        self.every_s = every_s
        self._live: Live | None = None
        self._said: tuple[str, ...] = ()
        self._last = -every_s

    @property
    def is_live(self) -> bool:
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def __enter__(self) -> Terminal:
        if self.is_live:
            # What libraries print is not ours to show: it goes where standard output and error lead.
            self._live = Live(
                console=self.console,
                auto_refresh=False,
                vertical_overflow="crop",
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, view: RunView) -> None:
        """Draw the present state; cheap enough for a few times a second."""
        if self._live is not None:
            self._live.update(picture(view, height=self.console.height, width=self.console.width), refresh=True)
        else:
            self._lines(view)

    def say(self, message: str) -> None:
        """One line for good: above the picture, or among the plain lines."""
        self.console.print(message, markup=False, highlight=False)

    def _lines(self, view: RunView) -> None:
        for message in fresh(self._said, view.messages):
            self._print(f"[{clock(view.seconds)}] {message}")
        self._said = view.messages
        if monotonic() - self._last >= self.every_s:
            self._last = monotonic()
            self._print(line(view))

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def picture(view: RunView, *, height: int | None = None, width: int = 120) -> RenderableType:
    """The whole run as one picture; also what `ramp status` prints. `width`: columns there are. `height`: lines there
    are, where that is a bound: the most important parts are kept, and the newest messages that fit beneath."""
    parts = [
        Part(0, _head(view)),
        Part(1, _stages(view, wide=width >= WIDE)),
        Part(2, _waits(view)),
        Part(3, _spaced(_tasks(view.tasks, wide=width >= WIDE))),
        *_machinery(view, wide=width >= WIDE),
        Part(5, _spaced(_actors(view))),
        Part(8, _spaced(_processes(view))),
        Part(9, Text()),
    ]
    rows = [Text(message, "dim", no_wrap=True, overflow="ellipsis") for message in view.messages[-MESSAGES:]]
    return Padding(Fitted(parts, rows, height), (0, 1))


def line(view: RunView) -> str:
    """The run in one plain line, for logs."""
    parts = [f"[{clock(view.seconds)}] {view.stage} {percent(view.progress)} ({view.activity})"]
    parts.append(f"{clock(view.left_s)} left" if view.left_s is not None else "time left unknown")
    parts.append(f"policy v{view.policy_version} world v{view.world_version} labels v{view.annotation_version}")
    parts += [f"{task.task} {_best(task)}" for task in view.tasks if _score(task) is not None]
    parts += [f"{table.name} {table.episodes} episodes {_ratio(table)}" for table in view.tables]
    parts.append(f"actors {view.actor_steps_per_s:.0f} steps/s")
    if ages := [task.policy_age for task in view.tasks if task.rollouts]:
        parts.append(f"policy age {fmean(ages):.1f} v")
    if view.learner is not None:
        parts.append(f"learner {_updates(view.learner)} waiting {percent(view.learner.wait_share)}")
    return " | ".join([*parts, *view.waits])


def gauge(score: Score, width: int = GAUGE_WIDTH) -> Text:
    """A success rate on a scale from 0 to 1: the interval as a line, the rate as a dot."""
    cells = ["·"] * width
    low, high = (min(width - 1, int(bound * width)) for bound in (score.low, score.high))
    cells[low : high + 1] = ["━"] * (high - low + 1)
    dot = min(width - 1, int(score.successes / max(1, score.trials) * width))
    text = Text("".join(cells), "dim")
    text.stylize("cyan not dim", low, high + 1)
    return Text.assemble(text[:dot], ("●", "bold cyan"), text[dot + 1 :])


def fresh(said: Sequence[str], messages: Sequence[str]) -> Sequence[str]:
    """The messages that came after those already said; `messages` keeps only the last few of all."""
    for overlap in range(min(len(said), len(messages)), 0, -1):
        if tuple(said[-overlap:]) == tuple(messages[:overlap]):
            return messages[overlap:]
    return messages


def _score(task: TaskView) -> Score | None:
    return task.final or task.interim or task.stage2 or task.recent


def _best(task: TaskView) -> str:
    """The most telling score of a task, with what it is a score of."""
    names = (("final", task.final), ("interim", task.interim), ("stage 2", task.stage2), ("rollouts", task.recent))
    name, score = next((name, score) for name, score in names if score is not None)
    return f"{name} {score.successes}/{score.trials}"


def _ratio(table: TableView) -> str:
    return f"{table.sampled / table.inserted:.1f} samples/insert" if table.inserted else "empty"


def _updates(learner: LearnerView) -> str:
    of = f"/{learner.total}" if learner.total else ""
    return f"{learner.stage} {learner.update}{of} at {learner.updates_per_s:.1f}/s"


def _head(view: RunView) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column()
    grid.add_column(justify="right")
    left = f"about {clock(view.left_s)} left" if view.left_s is not None else "time left not known yet"
    grid.add_row(
        Text.assemble(("RAMP Fleet  ", "bold"), view.recipe, ("  " + view.run_dir, "dim")),
        Text.assemble((clock(view.seconds), "bold"), "  ", left),
    )
    if view.left_s is not None:
        share = view.seconds / max(1.0, view.seconds + view.left_s)
        grid.add_row(_bar(share), Text(f"{percent(share)} of the run", "dim"))
    return grid


def _bar(share: float, width: int | None = None) -> ProgressBar:
    return ProgressBar(total=1.0, completed=share, width=width, complete_style="cyan", finished_style="green")


def _stages(view: RunView, *, wide: bool) -> RenderableType:
    """The stages in order with the present one marked, its bar, and what is going on."""
    now = STAGES.index(view.stage) if view.stage in STAGES else 0
    names = Text()
    for index, stage in enumerate(STAGES):
        style = "bold reverse cyan" if index == now else "green" if index < now else "dim"
        names.append(f" {stage} ", style)
        names.append("" if stage == STAGES[-1] else "─", "dim")
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        names,
        _bar(view.progress, width=24 if wide else 8),
        Text(percent(view.progress), "bold"),
        Text(view.activity, "cyan"),
    )
    return grid


def _tasks(tasks: Sequence[TaskView], *, wide: bool) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("task", no_wrap=True)
    names = ("demos", "rollouts", "success", "by person", "stage 2", "interim", "final")
    for name in names if wide else ("age", "stage 2", "final"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("newest evaluation, 95 %", min_width=GAUGE_WIDTH, no_wrap=True)
    if wide:
        table.add_column("age", justify="right", no_wrap=True)
    for task in tasks:
        table.add_row(*_task_cells(task, wide=wide))
    return table


def _task_cells(task: TaskView, *, wide: bool) -> list[RenderableType]:
    best = _score(task)
    bounds = gauge(best).append(f" {100 * best.low:.0f}-{100 * best.high:.0f} %") if best else Text()
    final = Text(_rate(task.final), "bold")
    person, age = (percent(task.human_share), f"{task.policy_age:.1f} v") if task.rollouts else ("", "")
    if not wide:
        return [task.task, age, _rate(task.stage2), final, bounds]
    counts: list[RenderableType] = [task.task, f"{task.demos}/{task.demos_wanted}", str(task.rollouts)]
    return [*counts, _rate(task.recent), person, _rate(task.stage2), _rate(task.interim), final, bounds, age]


def _rate(score: Score | None) -> str:
    return f"{score.successes}/{score.trials}" if score and score.trials else "-"


def _spaced(body: RenderableType) -> RenderableType:
    return Group(Text(), body)


def _waits(view: RunView) -> RenderableType:
    """What an operator has to know at once: what stands still, and why."""
    waits = [Text(wait, "yellow") for wait in view.waits] or [Text("nothing waits", "dim")]
    lost = [_process(process).append(" ") for process in view.processes if process.state == "down"]
    away = [name for name, up in (("redis", view.redis_up), ("replay", view.replay_up)) if not up]
    silent = [Text(f"{name} does not answer", "bold red") for name in away]
    return _spaced(_labelled("waits", [*silent, *lost, *waits]))


def _machinery(view: RunView, *, wide: bool) -> list[Part]:
    """Learner and replay, side by side where there is room."""
    learner = _section("learner", _learner(view))
    losses = [_losses(view.learner)] if view.learner and view.learner.losses else []
    replay = _section("replay", Group(_tables(view.tables, up=view.replay_up), *map(_shard, view.shards)))
    if wide:
        return [Part(4, _spaced(Columns([replay, Group(learner, *losses)], padding=(0, 4))))]
    return [Part(4, _spaced(learner)), *(Part(7, row) for row in losses), Part(6, _spaced(replay))]


def _section(title: str, body: RenderableType) -> RenderableType:
    return Group(Text(title, "bold"), body)


def _tables(tables: Sequence[TableView], *, up: bool) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("table")
    for name in ("episodes", "items", "sampled per insert", "labelled", "lead"):
        table.add_column(name, justify="right")
    for row in tables:
        ratio = f"{row.sampled / row.inserted:.1f}" if row.inserted else "-"
        table.add_row(row.name, str(row.episodes), f"{row.items:,}", ratio, percent(row.labelled), f"{row.lead:+,.0f}")
    if not up:
        return Group(table, Text("the replay server does not answer; producers spool to disk", "bold red"))
    return table


def _shard(shard: ShardView) -> Text:
    if not shard.up:
        return Text(f"{shard.name} does not answer; its producers spool to disk", "bold red")
    labels = f"labels of world model v{shard.annotation_version}" if shard.annotation_version else "no labels"
    held = f"{shard.episodes} episodes  {shard.items:,} items  {size(shard.disk_bytes)}  {labels}"
    return Text.assemble((shard.name, "bold"), f"  {held}")


def _learner(view: RunView) -> RenderableType:
    versions = Text.assemble(
        "policy ", (f"v{view.policy_version}", "bold"), "  world model ", (f"v{view.world_version}", "bold")
    )
    versions.append(f"  labels of world model v{view.annotation_version}" if view.annotation_version else "")
    if view.learner is None:
        return Group(versions, Text("no report yet", "dim"))
    learner = view.learner
    waiting = Text(f"waiting for data {percent(learner.wait_share)}", "red" if learner.wait_share > 0.1 else "")
    return Group(Text(_updates(learner) + "  ").append_text(waiting), versions)


def _losses(learner: LearnerView) -> Text:
    return Text("  ".join(f"{name} {value:.3g}" for name, value in learner.losses.items()))


def _actors(view: RunView) -> RenderableType:
    table = Table.grid(padding=(0, 3, 0, 0))
    for actor in view.actors:
        table.add_row(actor.name, f"{actor.steps_per_s:.0f} steps/s", _doing(actor), f"{actor.episodes} episodes")
    together = Text.assemble(("actors", "bold"), f"  {view.actor_steps_per_s:.0f} steps/s together")
    return Group(together, table) if view.actors else together


def _doing(actor: ActorView) -> Text:
    text = Text(actor.doing, "dim" if actor.doing == "idle" else "")
    return text.append(f"  restarted {actor.restarts}x", "yellow") if actor.restarts else text


def _processes(view: RunView) -> RenderableType:
    text = Text()
    for process in view.processes:
        text.append_text(_process(process))
    text.append(f"memory {size(view.memory_bytes)} (peak {size(view.peak_bytes)})", "dim")
    return _labelled("processes", [text])


def _process(process: ProcessView) -> Text:
    text = Text.assemble(("● ", STATE_STYLE.get(process.state, "")), process.name)
    if process.state != "up":
        text.append(f" {process.state}")
    if process.restarts:
        text.append(f" restarted {process.restarts}x", "yellow")
    return text.append("  ")


def _labelled(title: str, rows: Sequence[Text]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for index, row in enumerate(rows):
        grid.add_row(Text(title if index == 0 else "", "bold"), row)
    return grid
