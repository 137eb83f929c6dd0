"""A journal as a run would leave it, with made-up numbers, for the tests of the report (and to look at the page):

python -m tests.unit.services.conductor.report.made_run DIRECTORY
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from ramp.types import Episode, EpisodeHeader, EpisodeSummary, Outcome, Source, StepBatch, StepSchema
from services.conductor import journal, report
from services.conductor.journal import Event

TASKS = ("drawer-open-v3", "button-press-topdown-v3", "hammer-v3")
SKILL = {"drawer-open-v3": (0.62, 0.93), "button-press-topdown-v3": (0.9, 0.98), "hammer-v3": (0.2, 0.66)}
START = 1_800_000_000.0
LIMIT = 200
SETTINGS = {"seed": 7, "env": {"max_steps": LIMIT, "cameras": ["topview", "corner3"]}, "actors": {"count": 2}}


def started(t: float = START, *, resumed: bool = False) -> journal.RunStarted:
    machine = {"host": "laptop", "cores": 2, "python": "3.11", "torch": "2.13.0"}
    return journal.RunStarted(
        t=t, recipe="metaworld", settings=SETTINGS, machine=machine, commit="0123456789abcdef", resumed=resumed
    )


def summary(
    number: int, task: str, purpose: str, *, won: bool, version: int = 0, human: int = 0, steps: int = 0
) -> EpisodeSummary:
    steps = steps or (90 if won else LIMIT)
    values = tuple(
        (step, max(0.0, (steps - step) / LIMIT if won else 0.7 + 0.2 * math.sin(step / 30) - step / 2000))
        for step in range(0, steps, 4)
    )
    return EpisodeSummary(
        episode_id=f"{purpose}-{task}-{number}",
        task=task,
        seed=number,
        purpose=purpose,
        outcome=Outcome.SUCCESS if won else Outcome.FAILURE,
        steps=steps,
        frames=steps // 4,
        human_steps=human,
        interventions=int(human > 0),
        policy_version=version,
        seconds=3.0,
        sim_seconds=1.1,
        render_seconds=0.7,
        inference_seconds=0.8,
        replay_seconds=0.1,
        values=values if purpose == "rollout" else (),
    )


def evaluation(t: float, label: str, version: int, env_steps: int, skill: float, trials: int) -> journal.Evaluation:
    tasks = {}
    for task in TASKS:
        before, after = SKILL[task]
        wins = round((before + (after - before) * skill) * trials)
        steps = 120 - 30 * skill
        tasks[task] = journal.TaskResult(episodes=trials, successes=wins, mean_steps=steps, mean_seconds=steps / 80)
    return journal.Evaluation(t=t, label=label, policy_version=version, env_steps=env_steps, tasks=tasks)


def learner(t: float, stage: str, update: int, total: int, **losses: float) -> journal.Learner:
    return journal.Learner(
        t=t,
        stage=stage,
        update=update,
        total=total,
        losses=losses,
        updates_per_s=7.0,
        wait_share=0.04,
        policy_version=1,
        world_version=1,
    )


def whole_run() -> list[Event]:
    """Twelve minutes: stages, evaluations, a killed actor, a crash of two minutes and a resume."""
    events: list[Event] = [started(), journal.Stage(t=START + 8, stage="demos")]
    for number in range(24):
        task = TASKS[number % 3]
        episode = summary(number, task, "demo", won=number % 5 != 0)
        events.append(journal.Episode(t=START + 10 + 3 * number, summary=episode, actor=f"actor-{number % 2}"))
    events.append(journal.Stage(t=START + 90, stage="world"))
    events += [learner(START + 90 + 2 * i, "world", 10 * i, 300, **{"world/total": 1.2 * 0.9**i}) for i in range(30)]
    events.append(journal.Version(t=START + 150, kind="world", version=1, stage="world", update=300))
    events.append(journal.Stage(t=START + 150, stage="policy"))
    events += [learner(START + 150 + 2 * i, "policy", 20 * i, 800, **{"policy/flow": 0.9 * 0.95**i}) for i in range(40)]
    stage2 = ("latest", "stage2")
    events.append(
        journal.Version(
            t=START + 230, kind="policy", version=1, stage="policy", update=800, world_version=1, aliases=stage2
        )
    )
    events.append(journal.Stage(t=START + 231, stage="joint"))
    events.append(evaluation(START + 260, "stage2", 1, 0, 0.0, 50))
    return events + joint_stage() + closing()


def joint_stage() -> list[Event]:
    events: list[Event] = []
    for number in range(120):
        t, version, task = START + 262 + 2 * number, 1 + number // 20, TASKS[number % 3]
        before, after = SKILL[task]
        rate = before + (after - before) * number / 120
        human = round(60 * (1 - rate)) if number % 3 != 1 and number % 4 else 0
        won = human > 0 or (number * 37 % 100) / 100 < rate
        episode = summary(number, task, "rollout", won=won, version=max(1, version - number % 2), human=human)
        events.append(journal.Episode(t=t, summary=episode, actor=f"actor-{number % 2}"))
        losses = {"policy/flow": 0.12 * 0.995**number, "world/total": 0.05 * 0.99**number}
        events.append(learner(t + 1, "joint", 10 * number, 1200, **losses))
        if number % 20 == 19:
            aliases = ("latest", "final") if number > 110 else ("latest",)
            joined = {"stage": "joint", "update": 10 * number, "world_version": 1, "aliases": aliases}
            events.append(journal.Version(t=t + 1, kind="policy", version=version + 1, **joined))
        if number % 40 == 39:
            events.append(evaluation(t + 1.5, "interim", version, 110 * number, number / 120, 8))
    return events


def closing() -> list[Event]:
    died = "killed by signal 9"
    table = journal.Table(
        episodes=120,
        steps=12_000,
        items=3_000,
        inserted=3_000,
        sampled=120_000,
        insert_wait_s=0.0,
        sample_wait_s=2.5,
        labelled=0.97,
    )
    return [
        journal.Process(t=START + 400, name="actor-1", what="died", detail=died),
        journal.Process(t=START + 403, name="actor-1", what="restarted", pid=77),
        journal.Usage(
            t=START + 450, memory_bytes={"learner": 2 << 30, "actors": 1 << 30}, total_bytes=3 << 30, peak_bytes=3 << 30
        ),
        started(START + 620, resumed=True),
        journal.Replay(
            t=START + 625, tables={"demos": table, "online": table}, disk_bytes=1 << 28, annotation_version=1
        ),
        journal.Stage(t=START + 640, stage="done"),
        evaluation(START + 700, "final", 7, 13_200, 1.0, 50),
        journal.RunFinished(t=START + 710, reason="done", seconds=90.0, peak_bytes=3 << 30),
    ]


def stored_episode(episode_id: str, steps: int = 90) -> Episode:
    """What replay would answer, with a bright square that crosses the picture."""
    rows = np.arange(0, steps, 4, dtype=np.int32)
    images = np.full((len(rows), 64, 64, 3), 60, np.uint8)
    for index, row in enumerate(rows):
        left = int(row / steps * 52)
        images[index, 20:32, left : left + 12] = (240, 170, 60)
    source = np.full(steps, Source.POLICY, np.uint8)
    source[30:50] = Source.HUMAN
    schema = StepSchema(
        cameras={"topview": (64, 64, 3), "corner3": (64, 64, 3)},
        proprio_width=4,
        action_low=(-1.0,) * 4,
        action_high=(1.0,) * 4,
    )
    header = EpisodeHeader(
        episode_id=episode_id,
        task="hammer-v3",
        instruction="hammer",
        robot="sim",
        seed=1,
        max_steps=LIMIT,
        tables=("online",),
        schema=schema,
    )
    batch = StepBatch(
        step=np.arange(steps, dtype=np.int32),
        timestamp=np.arange(steps) / 80.0,
        proprio=np.zeros((steps, 4), np.float32),
        action=np.zeros((steps, 4), np.float32),
        reward=-np.ones(steps, np.float32),
        source=source,
        trainable=np.ones(steps, bool),
        policy_version=np.ones(steps, np.int32),
        frame_row=rows,
        images={"topview": images, "corner3": images[:, :, ::-1]},
    )
    return Episode(header=header, steps=batch, outcome=Outcome.SUCCESS)


def write_journal(run_dir: Path, events: list[Event]) -> None:
    with journal.Journal(run_dir / "journal.jsonl") as book:
        for event in events:
            book.write(event)


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    write_journal(directory, whole_run())
    with mock.patch.object(report, "stored", return_value=stored_episode):
        print(report.write_report(directory))
