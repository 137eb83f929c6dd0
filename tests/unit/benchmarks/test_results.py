"""Results and their page: what stands in BENCHMARKS.md is what stands in the JSON files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import RESULTS, exit_code, parsed
from benchmarks.page import PAGE, number, page
from benchmarks.runs import MeasurementError, from_runs, learner_wait, main_job
from services.conductor.record import Result, load, save

RESULT = Result(
    name="engine",
    command="python -m benchmarks engine",
    commit="0123456789abcdef+",
    date="2026-11-21T10:00:00+00:00",
    machine={"cpu": "some", "memory_bytes": 8 << 30},
    seeds=(0, 1),
    seconds=12.3,
    rows=(
        {"name": "step, DeepSpeed | PyTorch", "ratio": 1.0432, "target": 1.1},
        {"name": "sample", "value": 1234.5, "unit": "items/s", "baseline": 2000, "streams": 2},
    ),
)


def test_the_page_in_the_repository_agrees_with_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(load(RESULTS)), "run `make bench`, or python -m benchmarks --page"


def test_every_published_result_says_how_it_was_made() -> None:
    assert load(RESULTS)
    for result in load(RESULTS):
        assert result.command, result.name
        assert result.date, result.name
        assert result.commit, result.name
        assert "host" not in result.machine, result.name


def test_a_result_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    save(RESULT, tmp_path)

    assert load(tmp_path) == [RESULT]


def test_the_page_shows_ratios_first_then_every_figure() -> None:
    text = page([RESULT])

    assert "| step, DeepSpeed \\| PyTorch | 1.043 | 1.1 |" in text
    assert "| sample | 1,234 items/s, beside 2,000 items/s, streams 2 |" in text
    assert "commit `0123456789+`, 2026-11-21" in text
    assert "memory_bytes 8 GiB" in text


@pytest.mark.parametrize(
    ("value", "text"), [(0.81234, "0.8123"), (1234.5, "1,234"), (12, "12"), ("x", "x"), (True, "True")]
)
def test_figures_are_short(value: object, text: str) -> None:
    assert number(value) == text


def report(folder: Path, share: float | None) -> Path:
    path = folder / "report.json"
    time = {"learner_wait_share": share, "learner": [{"name": "waiting for data", "seconds": 3.0}]}
    facts = {"seed": 3, "recipe": "metaworld", "commit": "abc", "started": "2026-11-21T10:00:00+00:00"}
    path.write_text(json.dumps({**facts, "time": time, "machine": {"host": "x", "cores": 2}, "seconds": 60.0}))
    return path


def test_the_learners_waiting_is_taken_from_a_runs_report(tmp_path: Path) -> None:
    result = learner_wait(report(tmp_path, 0.0421))

    assert result.command == "ramp run metaworld seed=3"
    assert result.rows[0]["ratio"] == 0.0421
    assert result.machine == {"cores": 2}


def finished(folder: Path, seed: int, **changes: object) -> Path:
    folder.mkdir()
    path = report(folder, 0.01)
    score = {"successes": 8, "trials": 10, "low": 0.49, "high": 0.943, "mean_seconds": 1.25}
    both = {"task": "reach-v3", "before": {**score, "successes": 0, "mean_seconds": None}, "after": score}
    time = {"stages": [{"name": "joint", "seconds": 40.0}], "learner": [], "learner_wait_share": 0.01}
    facts = {"seed": seed, "reason": "done", "results": [both], "together": both, "peak_memory_bytes": 4 << 30}
    path.write_text(json.dumps({**json.loads(path.read_text()), "time": time, **facts, **changes}))
    return path


def test_success_before_and_after_has_a_row_per_run_and_task(tmp_path: Path) -> None:
    result = main_job([finished(tmp_path / "a", 0), finished(tmp_path / "b", 1)])

    assert result.seeds == (0, 1)
    assert [row["name"] for row in result.rows] == [
        "seed 0, all tasks",
        "seed 0, reach-v3",
        "seed 1, all tasks",
        "seed 1, reach-v3",
    ]
    assert result.rows[0]["after"] == "8/10 (49.0 to 94.3 %, 1.25 s to success)"
    assert (result.rows[0]["joint_s"], result.rows[0]["peak_memory_gib"]) == (40, 4.0)


def test_a_run_that_a_glob_finds_twice_counts_once(tmp_path: Path) -> None:
    paths = [finished(tmp_path / "a", 0), finished(tmp_path / "b", 1)]
    (tmp_path / "latest").symlink_to("b")

    waiting, success = from_runs([tmp_path / "latest" / "report.json", *paths])

    assert (waiting.name, success.name) == ("learner", "main_job")
    assert success.seeds == (1, 0)
    assert len(success.rows) == 4


@pytest.mark.parametrize("changes", [{"reason": "interrupted"}, {"recipe": "debug"}, {"commit": "abd"}])
def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(MeasurementError, match=r"finished runs|recipe debug|commit abd"):
        main_job([finished(tmp_path / "a", 0), finished(tmp_path / "b", 1, **changes)])


def test_a_report_without_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="did not report"):
        learner_wait(report(tmp_path, None))


def test_reports_that_cannot_be_published_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [finished(tmp_path / "a", 0), finished(tmp_path / "b", 1, reason="interrupted"), tmp_path / "none.json"]
    for wrong, says in ((paths[:2], "name finished runs"), (paths[2:], "none.json")):
        monkeypatch.setattr(sys, "argv", ["benchmarks", "engine", "--runs", *map(str, wrong)])
        with pytest.raises(SystemExit):
            parsed()
        assert says in capsys.readouterr().err


def test_a_benchmark_that_hangs_is_ended() -> None:
    with pytest.raises(MeasurementError, match="not done"):
        exit_code([sys.executable, "-c", "import threading; threading.Event().wait()"], 0.5)
