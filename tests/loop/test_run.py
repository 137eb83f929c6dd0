"""The whole run, as a newcomer starts it, on the test world: every process is real.

Stopped and resumed it is in test_full.py and in tests/faults/test_run_kills.py."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ramp.replay.shard import ShardConfig
from ramp.replay.shards import Shards
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.common.settings import child_environment
from services.conductor import journal
from services.conductor.journal import STAGES
from tests.loop.launched import LONG_JOINT_STAGE, LaunchedRun, assert_books_agree, labels, stages
from tests.unit.sources import ROOT

pytestmark = [pytest.mark.loop, pytest.mark.timeout(900), pytest.mark.xdist_group("run")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchedRun]:
    """A run that went through; its metrics were looked at on the way."""
    run = LaunchedRun(tmp_path_factory.mktemp("runs") / "counting", "counting", *LONG_JOINT_STAGE)
    try:
        run.until(run.is_in_joint_stage)
        run.scraped = scrape(run.folder)  # type: ignore[attr-defined]
        assert run.finish() == 0, run.last_words()
        yield run
    finally:
        run.kill()


def scrape(folder: Path) -> dict[str, str]:
    """What every process in the targets file answers to Prometheus, by component."""
    answers = {}
    for group in json.loads((folder / "prometheus.json").read_text()):
        with urllib.request.urlopen(f"http://{group['targets'][0]}/metrics", timeout=10) as answer:
            answers[group["labels"]["component"]] = answer.read().decode()
    return answers


def ramp(*words: str) -> subprocess.CompletedProcess[str]:
    """A verb of the command line."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *words],
        cwd=ROOT,
        env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_all_stages_are_passed_with_evaluations_before_and_after(finished: LaunchedRun) -> None:
    events = finished.events()
    assert stages(events) == list(STAGES)
    counted = labels(events)
    assert (counted["stage2"], counted["final"]) == (1, 1)
    finish = events[-1]
    assert isinstance(finish, journal.RunFinished)
    assert finish.reason == "done"
    assert finish.peak_bytes > 0


def test_no_step_is_lost_or_doubled(finished: LaunchedRun) -> None:
    assert_books_agree(finished.folder)


def test_every_role_answers_prometheus(finished: LaunchedRun) -> None:
    scraped: dict[str, str] = finished.scraped  # type: ignore[attr-defined]
    assert set(scraped) == {"actor", "conductor", "learner", "replay"}
    samples = {  # every process exports the names of all metrics, but only its own have samples
        "actor": "ramp_actor_steps_total{",
        "conductor": "ramp_conductor_stage_ratio{",
        "learner": "ramp_learner_applied_updates_total{",
        "replay": "ramp_replay_held_episodes{",
    }
    for role, text in scraped.items():
        assert [name for name in samples.values() if name in text] == [samples[role]]


def test_the_report_is_there_in_both_forms(finished: LaunchedRun) -> None:
    report = json.loads((finished.folder / "report.json").read_text())
    page = (finished.folder / "report.html").read_text()
    assert report["reason"] == "done"
    assert all(report["together"][when]["trials"] > 0 for when in ("before", "after"))
    assert report["peak_memory_bytes"] > 0
    assert report["traces"]
    assert '<img src="data:' in page, "the frames beneath a trace"
    assert "count-up" in page
    assert 'src="http' not in page


def test_status_and_report_and_a_second_resume_say_that_it_is_done(finished: LaunchedRun) -> None:
    state = json.loads(ramp("status", "--dir", str(finished.folder), "--json").stdout)
    assert (state["running"], state["stage"]) == (False, "done")
    assert ramp("report", "--dir", str(finished.folder)).stdout.strip().endswith("report.html")
    again = ramp("run", "--resume", "--dir", str(finished.folder))
    assert (again.returncode, "is done" in again.stdout) == (0, True)


def test_a_registered_version_can_be_evaluated_afterwards(finished: LaunchedRun) -> None:
    done = ramp("eval", "--dir", str(finished.folder), "--version", "stage2", "--episodes", "2", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["policy_version"] == 1
    assert [row["episodes"] for row in answer["results"]] == [2, 2, 4]
    assert all(row["low"] <= row["successes"] / row["episodes"] <= row["high"] for row in answer["results"])


def test_the_versions_that_may_have_learnt_from_an_episode_are_named(finished: LaunchedRun) -> None:
    """A demonstration is in all of them; a rollout of the last moments in no version of the stages before."""
    with closing(Shards(finished.folder / "replay", ShardConfig())) as shards:
        infos = shards.query()
    demo = next(info.episode_id for info in infos if "demos" in info.tables)
    last = [info.episode_id for info in infos if "online" in info.tables][-1]

    def named(episode: str) -> set[tuple[str, int]]:
        done = ramp("data", "retract", episode, "-r", "a test", "--dry-run", "--json", "--dir", str(finished.folder))
        assert done.returncode == 0, done.stderr
        return {(row["kind"], row["version"]) for row in json.loads(done.stdout)["versions"]}

    registry = DirectoryRegistry(finished.folder / "registry")
    everything = {(str(kind), version) for kind in Kind for version in registry.versions(kind)}
    assert named(demo) == everything
    assert named(last) <= everything - {("world", 1), ("policy", 1)}


def test_a_run_directory_is_not_overwritten(finished: LaunchedRun) -> None:
    refused = ramp("run", "counting", "--dir", str(finished.folder))
    assert refused.returncode == 2
    assert "add --resume" in refused.stderr
