"""The conductor of a run.

consumes      a run directory with settings; the journal of what was done before
produces      assignments for actors, the journal, the view, `status.json`
waits for     a fraction of a second for the next episode; after a death, QUERY_S at most for what replay holds
unblocked by  time: nothing here waits longer for one part without watching the others
"""

from __future__ import annotations

import json
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from types import FrameType

from ramp.errors import RampError, Unavailable
from services.clients.replay import CALL_TIMEOUT_S
from services.common import metrics
from services.common.directory import parse
from services.common.settings import Settings, plain
from services.conductor import adoption, journal, machine, schedule
from services.conductor.crew import QUEUE, Done, Lost
from services.conductor.fleet import Fleet
from services.conductor.journal import Event, Journal, Process
from services.conductor.ledger import Ledger, apply, by_task, fold, result
from services.conductor.portrait import Scene, draw
from services.conductor.room import Room
from services.conductor.rundir import RunDir
from services.conductor.schedule import Landmarks
from services.conductor.view import RunView
from services.conductor.watch import Rhythm

TICK_S = 0.25  # longest wait for an episode
STATUS_EVERY_S = 1.0
ADOPT_AFTER_S = 5.0  # after a death: by then no report of a living actor is under way
QUERY_S = 5.0  # for replay to list its episodes
SPOOL_PATIENCE_S = 60.0  # for an episode to come out of its actor's spool, while replay answers
MESSAGES = 50  # kept for the view

Show = Callable[[RunView], None]


class Conductor:
    """Runs all stages of one run directory to the end, or until it is told to stop.

    Example: Conductor(settings, rundir, show=print).run()  # "done" or "interrupted"
    """

    def __init__(self, settings: Settings, rundir: RunDir, *, show: Show) -> None:
        self.settings, self.rundir, self._show = settings, rundir, show
        rundir.make()
        past = journal.read(rundir.journal)
        self._resumed = any(isinstance(event, journal.RunStarted) for event in past)
        self.ledger: Ledger = fold(past)
        self._journal = Journal(rundir.journal)
        self._fleet = Fleet(settings, rundir)
        self._marks = Landmarks()
        self._room = Room(settings.sampling, len(parse(self._fleet.replay_address)))
        self._messages: deque[str] = deque(maxlen=MESSAGES)
        self._signals, self._ending = 0, False
        for purpose in ("demo", "rollout", "eval"):
            metrics.CONDUCTOR_LOST.labels(purpose)  # 0 is told, too
        self._began = time.monotonic()
        self._status_due, self._adopt_at = Rhythm(STATUS_EVERY_S), float("inf")
        self._unconfirmed_since: dict[str, float] = {}
        self._episode_seconds: deque[float] = deque(maxlen=40)  # of work; what the rate limiter holds up is not in it

    def run(self) -> str:
        """The whole run. Raises Unavailable where a part can't be kept up; everything is stopped in any case."""
        reason = "failed: unexpected error"
        with _Signals(self._on_signal):
            try:
                reason = self._play()
            except RampError as error:
                reason = f"failed: {error}"
                raise
            finally:
                self._end(reason)
        return reason

    def _play(self) -> str:
        self._begin()
        while not self._signals:
            self._supervise()
            self._observe()
            if schedule.is_over(self.settings, self.ledger, self._marks) and self._learner_is_through():
                return "done"
            self._dispatch()
            self._collect()
            self._draw()
        return "interrupted"

    # ----------------------------------------------------------------------------------------- the loop

    def _begin(self) -> None:
        left_flying = QUEUE * self.ledger.actors  # by the life before this one
        self._note(
            journal.RunStarted(
                recipe=self.settings.recipe,
                settings=plain(self.settings),
                machine=machine.describe(),
                commit=machine.commit(),
                resumed=self._resumed,
            )
        )
        for event in self._fleet.start():
            self._note(event)
            self._show(self._view())
        if self._resumed:
            self._adopt(CALL_TIMEOUT_S)
            schedule.skip_seeds(self.settings, self.ledger, left_flying)
        self._note(journal.Stage(stage=self.ledger.stage))

    def _supervise(self) -> None:
        self._note_all(self._fleet.supervise())
        if self.ledger.unconfirmed:
            self._adopt_at = min(self._adopt_at, time.monotonic() + ADOPT_AFTER_S)
        if time.monotonic() >= self._adopt_at:
            if self._adopt_if_possible():
                self._give_up_unconfirmed()
            else:
                self._unconfirmed_since.clear()

    def _observe(self) -> None:
        self._note_all(self._fleet.watch.look(self.ledger))
        for words in self._fleet.end_stalled_learner():
            self._say(words)
        for words in self._fleet.guard.said():
            self._say(words)
        self._marks = self._fleet.watch.landmarks()
        for each in schedule.wanted(self.settings, self.ledger, self._marks):
            if schedule.is_complete(self.settings, self.ledger, each):
                self._note(self._evaluation(each))

    def _dispatch(self) -> None:
        crew, ledger = self._fleet.crew, self.ledger
        self._room.look(self._fleet.watch.replay.latest, ledger)
        while member := crew.free():
            room = self._room.rollouts(ledger, crew.inflight)
            dispatch = schedule.next_dispatch(self.settings, ledger, self._marks, crew.inflight, room=room)
            if dispatch is None:
                return
            schedule.note_seed(ledger, dispatch.assignment)
            crew.give(member, dispatch)

    def _collect(self) -> None:
        self._take_all(self._fleet.crew.collect(TICK_S))

    def _take_all(self, answers: Iterable[Done | Lost | Process]) -> None:
        for what in answers:
            match what:
                case Done():
                    self._note(journal.Episode(summary=what.summary, actor=what.actor, label=what.dispatch.label))
                    self._episode_seconds.append(what.summary.seconds - what.summary.replay_seconds)
                case Lost():
                    asked = what.dispatch.assignment
                    metrics.CONDUCTOR_LOST.labels(asked.purpose).inc()
                    self._say(f"{what.actor} lost {asked.purpose} {asked.task} seed {asked.seed}: {what.why}")
                    self._adopt_at = time.monotonic() + ADOPT_AFTER_S
                case Process():
                    self._note(what)

    def _draw(self) -> None:
        if self._status_due():
            metrics.progress("conductor", self.ledger.stage)
            view = self._publish()
            metrics.set_only(metrics.CONDUCTOR_STAGE, {view.stage: view.progress})
            metrics.CONDUCTOR_INFLIGHT.set(len(self._fleet.crew.inflight))

    def _publish(self) -> RunView:
        """Show the present view, here and to others. A disk without space costs the others theirs, no more."""
        view = self._view()
        self._show(view)
        try:
            _write_json(self.rundir, view)
            self._fleet.publish_targets()
        except OSError as error:
            self._say(f"the state of the run cannot be written: {error}")
        return view

    def _end(self, reason: str) -> None:
        """Stop everything in order, and say so last of all. No step is left out for what one before it raised."""
        self._ending = True
        with ExitStack() as steps:  # the last one comes first
            steps.callback(self._journal.close)
            steps.callback(self._finished, reason)
            steps.callback(lambda: self._note_all(list(self._fleet.stop_services(self._hurry))))
            steps.callback(self._adopt_if_possible)
            steps.callback(lambda: self._take_all(list(self._fleet.stop_work(self._hurry))))
            if reason != "done":
                self._say(f"stopping: {reason}")
                self._show(self._view())

    def _hurry(self) -> bool:
        return self._signals > 1

    def _finished(self, reason: str) -> None:
        seconds = time.monotonic() - self._began
        self._note(journal.RunFinished(reason=reason, seconds=seconds, peak_bytes=self.ledger.peak_bytes))
        self._publish()

    # ------------------------------------------------------------------------------------------- pieces

    def _note(self, event: Event) -> None:
        """Journal first, then act on it. Raises Unavailable where it can't be written: nothing goes on unrecorded."""
        try:
            event = self._journal.write(event)
        except OSError as error:
            path = self.rundir.journal
            raise Unavailable(f"{path} cannot be written: {error}; free some space, then ramp run --resume") from error
        apply(self.ledger, event)
        _count(event)
        if words := _words(event):
            self._say(words)

    def _note_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._note(event)

    def _say(self, message: str) -> None:
        self._messages.append(message)

    def _adopt_if_possible(self) -> bool:
        """Whether the books agree with replay now. Where it is known not to answer, it is not asked."""
        return self._fleet.watch.replay.answers and self._fleet.shards.complete and self._adopt(QUERY_S)

    def _adopt(self, timeout_s: float) -> bool:
        """Let the books agree with what replay holds; tried again later where replay does not answer."""
        self._adopt_at = float("inf")
        try:
            stored = self._fleet.replay.query(timeout=timeout_s)
        except RampError as error:
            self._say(f"replay does not list its episodes now: {error}")
            self._adopt_at = time.monotonic() + ADOPT_AFTER_S
            return False
        self._note_all(adoption.orphans(self.ledger, stored))
        if lost := adoption.vanished(self.ledger, stored):
            self._note_all(lost)
            self._say(f"replay has lost {len(lost)} episodes that it had acknowledged: its directory was changed")
        return True

    def _give_up_unconfirmed(self) -> None:
        """What does not come out of a spool was refused or lies on a machine that is gone; collect it anew."""
        now = time.monotonic()
        since = self._unconfirmed_since
        self._unconfirmed_since = {key: since[key] for key in self.ledger.unconfirmed if key in since}
        for episode_id in list(self.ledger.unconfirmed):
            if now - self._unconfirmed_since.setdefault(episode_id, now) > SPOOL_PATIENCE_S:
                del self.ledger.unconfirmed[episode_id]
                self._say(f"{episode_id} was handed in and does not reach replay; it is not counted")

    def _evaluation(self, each: schedule.Wanted) -> journal.Evaluation:
        key = (each.label, each.version)
        episodes = by_task(self.ledger.tried[key], self.settings.tasks)
        return journal.Evaluation(
            label=each.label,
            policy_version=each.version,
            env_steps=self.ledger.begun_at[key],
            tasks={task: result(found) for task, found in episodes.items()},
        )

    def _learner_is_through(self) -> bool:
        """It says so, with its last checkpoint written, long before Ray Train has wound up."""
        said = self._fleet.watch.learner
        return self._fleet.learner.returned or (said is not None and said.stage == journal.STAGES[-1])

    def _view(self) -> RunView:
        fleet = self._fleet
        spent = sum(self._episode_seconds)
        return draw(
            Scene(
                recipe_name=self.settings.recipe,
                run_dir=str(self.rundir.path),
                recipe=self.settings,
                ledger=self.ledger,
                marks=self._marks,
                seconds=time.monotonic() - self._began,
                learner=fleet.watch.learner or self.ledger.learner,
                learner_state=fleet.learner.state,
                learner_restarts=fleet.learner.restarts + fleet.watch.worker_restarts,
                members=fleet.crew.members,
                children=fleet.children,
                replay=fleet.watch.replay.latest,
                replay_up=fleet.watch.replay.answers,
                shards=fleet.shards.shards,
                redis_up=fleet.watch.redis.answers,
                memory=fleet.watch.memory.latest or {},
                episodes_per_s=len(self._episode_seconds) * len(fleet.crew.members) / spent if spent > 0 else 0.0,
                messages=tuple(self._messages),
            )
        )

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals > 1 and not self._ending:
            raise Unavailable("stopped at once: the second signal came before all had stopped in order")


class _Signals:
    """SIGINT and SIGTERM become a call, for as long as the block lasts."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._call()


def _count(event: Event) -> None:
    """The metrics that follow from an event."""
    match event:
        case Process(name=name, what="restarted"):
            metrics.CONDUCTOR_RESTARTS.labels("replay" if name.startswith("shard-") else name.split("-")[0]).inc()
        case journal.Usage(memory_bytes=memory):
            for role, num_bytes in memory.items():
                metrics.CONDUCTOR_MEMORY.labels(role).set(num_bytes)
        case journal.Evaluation(label=label, tasks=tasks):
            for task, found in tasks.items():
                metrics.CONDUCTOR_SUCCESS.labels(task, label).set(found.successes / max(found.episodes, 1))


def _words(event: Event) -> str:
    """An event for a person; "" for those that the view shows anyway."""
    match event:
        case Process(name=name, what=what, pid=pid, detail=detail):
            return f"{name} {what}" + (f" (pid {pid})" if pid else "") + (f": {detail}" if detail else "")
        case journal.Stage(stage=stage):
            return f"stage {stage}"
        case journal.Version(kind=kind, version=version, update=update):
            return f"{kind} {version} published at update {update}"
        case journal.Adopted(episode_id=episode_id):
            return f"found {episode_id} in replay, whose report was lost"
        case journal.Evaluation(label=label, policy_version=version, tasks=tasks):
            won, tried = sum(t.successes for t in tasks.values()), sum(t.episodes for t in tasks.values())
            return f"evaluation {label}: policy {version} succeeds in {won} of {tried}"
        case journal.RunFinished(reason=reason):
            return f"run ends: {reason}"
    return ""


def _write_json(rundir: RunDir, view: RunView) -> None:
    partial = rundir.view.with_name(rundir.view.name + ".partial")
    partial.write_text(json.dumps(journal.plain(asdict(view)), allow_nan=False))
    partial.replace(rundir.view)
