"""From journal to findings: what is counted, and what an interrupted run still gives."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from services.conductor import journal
from services.conductor.report.elapsed import Elapsed
from services.conductor.report.gather import choose_traces, gather
from tests.unit.services.conductor.report import made_run
from tests.unit.services.conductor.report.made_run import START


def test_before_and_after_are_pooled_over_the_tasks() -> None:
    findings = gather(made_run.whole_run(), "runs/x")

    before, after = findings.together.before, findings.together.after

    assert before is not None
    assert after is not None
    assert (before.trials, after.trials) == (150, 150)
    assert before.successes == sum(result.before.successes for result in findings.results if result.before)
    assert before.low < before.rate < before.high < after.low
    assert after.mean_steps == pytest.approx(90)


def test_the_time_between_a_crash_and_its_resume_does_not_count() -> None:
    events = [journal.RunStarted(t=10, recipe="r", settings={}, machine={}, commit="")]
    events += [journal.Stage(t=40, stage="demos")]
    events += [journal.RunStarted(t=1000, recipe="r", settings={}, machine={}, commit="", resumed=True)]
    events += [journal.RunFinished(t=1005, reason="done", seconds=5)]

    elapsed = Elapsed.of(events)

    assert elapsed.total == 35
    assert [elapsed.at(t) for t in (10, 40, 500, 1000, 1005)] == [0, 30, 30, 30, 35]


def test_stage_times_add_up_to_the_time_of_the_run() -> None:
    findings = gather(made_run.whole_run(), "runs/x")

    assert sum(share.seconds for share in findings.time.stages) == pytest.approx(findings.seconds)
    assert [share.name for share in findings.time.stages] == [
        "starting",
        "demos",
        "world",
        "policy",
        "joint",
        "final evaluation",
    ]


def test_the_learners_waiting_is_weighted_by_time() -> None:
    reports = [made_run.learner(START + t, "policy", t, 100) for t in (0, 10, 40)]
    reports[1], reports[2] = replace(reports[1], wait_share=0.5), replace(reports[2], wait_share=0.1)

    time = gather([made_run.started(), *reports], "runs/x").time

    assert time.learner_wait_share == pytest.approx((0.5 * 10 + 0.1 * 30) / 40)


def test_what_the_learner_says_of_its_time_is_kept_and_the_rest_is_named() -> None:
    reports = [made_run.learner(START + t, "joint", t, 100) for t in (0, 10)]
    reports[1] = replace(reports[1], spent_s={"update": 6.0, "wait": 1.0, "relabel": 2.0})

    time = gather([made_run.started(), *reports], "runs/x").time

    assert {share.name: share.seconds for share in time.learner} == {
        "updates": 6.0,
        "waiting for data": 1.0,
        "relabelling": 2.0,
        "other": 1.0,
    }
    assert time.learner_wait_share == pytest.approx(0.1)


def test_an_episode_found_in_replay_is_counted_once() -> None:
    summary = made_run.summary(1, "hammer-v3", "rollout", won=True)
    found = journal.Adopted(
        t=START + 9,
        episode_id=summary.episode_id,
        task=summary.task,
        seed=1,
        purpose="rollout",
        outcome="success",
        steps=summary.steps,
        frames=summary.frames,
        human_steps=0,
        policy_version=1,
    )
    handed_in = journal.Episode(t=START + 10, summary=summary, actor="actor-0")

    alone = gather([made_run.started(), found, found], "runs/x")
    both = gather([made_run.started(), found, handed_in], "runs/x")

    assert alone.collected["rollout"].episodes == both.collected["rollout"].episodes == 1
    assert alone.traces == ()
    assert len(both.traces) == 1

    spooled = replace(handed_in, summary=replace(summary, extra={"acknowledged": 0.0}))
    assert "rollout" not in gather([made_run.started(), spooled], "runs/x").collected  # it never reached replay
    assert gather([made_run.started(), spooled, found], "runs/x").collected["rollout"].episodes == 1


def test_the_traces_are_a_success_and_a_failure_of_one_task_by_a_new_policy_without_help() -> None:
    episodes = [
        made_run.summary(1, "hammer-v3", "rollout", won=True, version=1),
        made_run.summary(2, "hammer-v3", "rollout", won=True, version=5),
        made_run.summary(3, "hammer-v3", "rollout", won=True, version=6, human=40),
        made_run.summary(4, "hammer-v3", "rollout", won=False, version=4),
        made_run.summary(5, "drawer-open-v3", "rollout", won=True, version=9),
        made_run.summary(6, "hammer-v3", "demo", won=False),
    ]

    events = [journal.Episode(t=1, summary=summary, actor="a") for summary in episodes]

    chosen = choose_traces(events, lambda _: True)
    with_frames = choose_traces(events, lambda episode_id: episode_id == "rollout-hammer-v3-1")

    assert [trace.episode_id for trace in chosen] == ["rollout-hammer-v3-2", "rollout-hammer-v3-4"]
    assert [trace.episode_id for trace in with_frames] == ["rollout-hammer-v3-1", "rollout-hammer-v3-4"]


def test_the_age_of_a_rollouts_policy_is_counted_in_published_versions() -> None:
    events: list[journal.Event] = [made_run.started()]
    for version in (1, 2, 3):
        events.append(journal.Version(t=START + version, kind="policy", version=version))
    summary = made_run.summary(1, "hammer-v3", "rollout", won=True, version=1)
    events.append(journal.Episode(t=START + 5, summary=summary, actor="actor-0"))

    assert gather(events, "runs/x").rollouts[0].policy_age == 2


@pytest.mark.parametrize("length", [1, 2, 10, 30, 60, 100, 200])
def test_a_journal_that_stops_anywhere_still_gives_findings(length: int) -> None:
    findings = gather(made_run.whole_run()[:length], "runs/x")

    assert findings.reason == "running"
    assert json.loads(json.dumps(asdict(findings)))["schema"] == findings.schema


def test_a_resumed_run_that_has_not_ended_is_running_again() -> None:
    finished = journal.RunFinished(t=START + 5, reason="interrupted", seconds=5)

    ended = gather([made_run.started(), finished], "runs/x")
    again = gather([made_run.started(), finished, made_run.started(START + 90, resumed=True)], "runs/x")

    assert (ended.reason, again.reason) == ("interrupted", "running")
    assert again.resumes == 1


def test_an_empty_evaluation_and_times_that_are_not_numbers_are_left_out() -> None:
    nan = float("nan")
    tasks = {
        "a": journal.TaskResult(episodes=0, successes=0, mean_steps=nan, mean_seconds=nan),
        "b": journal.TaskResult(episodes=4, successes=0, mean_steps=nan, mean_seconds=nan),
    }
    event = journal.Evaluation(t=START + 1, label="stage2", policy_version=1, env_steps=0, tasks=tasks)

    (point,) = gather([made_run.started(), event], "runs/x").curve

    assert list(point.tasks) == ["b"]
    assert point.together.mean_steps is None
