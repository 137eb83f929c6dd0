"""`ramp release`: which version robots act by, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ramp.types import Kind
from services.cli.main import main
from services.clients.registry import DirectoryRegistry
from services.conductor import journal
from services.conductor.rundir import RunDir
from tests.counting import counting_settings
from tests.unit.services.conductor.summaries import summary


def ramp(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run that has evaluated three policies: the second is as good as the first, the third is not."""
    settings = counting_settings(tmp_path, "evaluation.episodes_per_task=20")
    rundir = RunDir(tmp_path)
    registry, book = DirectoryRegistry(rundir.registry), journal.Journal(rundir.journal)
    for version in (1, 2, 3):
        registry.publish(Kind.POLICY, {"a": torch.zeros(2)}, {})
        for task in settings.tasks:
            for number in range(20):
                seed = settings.evaluation.first_seed + number
                done = summary("eval", task, seed, success=number < (10 if version == 3 else 18), version=version)
                book.write(journal.Episode(summary=done, actor="actor-0", label="final"))
    book.close()
    registry.alias(Kind.POLICY, "latest", 3)
    return rundir


def release(run: RunDir, *words: str) -> int:
    return ramp("release", *words, "--dir", str(run.path))


def stable(run: RunDir) -> int | None:
    return DirectoryRegistry(run.registry).resolve(Kind.POLICY, "stable")


def test_a_version_goes_from_latest_to_candidate_to_stable_and_back(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release(run, "promote", "1") == 0
    assert release(run, "promote", "2", "--to", "candidate") == 0
    assert release(run, "promote", "candidate") == 0
    assert stable(run) == 2
    capsys.readouterr()

    release(run, "list", "--json")
    rows = {row["alias"]: row for row in json.loads(capsys.readouterr().out)}
    assert {alias: row["version"] for alias, row in rows.items()} == {"candidate": 2, "latest": 3, "stable": 2}
    assert rows["stable"]["why"].startswith("gain +0.000 (+0.000 to +0.000) on ")
    assert release(run, "rollback", "--reason", "it drops things") == 0
    assert stable(run) == 1
    release(run, "history", "--json")
    last = json.loads(capsys.readouterr().out.splitlines()[-1])[-1]
    assert (last["what"], last["before"], last["version"], last["why"]) == ("rollback", 2, 1, "it drops things")


def test_a_worse_version_is_refused_unless_somebody_says_why(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    release(run, "promote", "1")
    assert release(run, "promote", "3") == 2
    assert "release.min_gain: gain -0.400" in capsys.readouterr().err
    assert release(run, "promote", "3", "--force") == 2
    assert stable(run) == 1
    assert release(run, "promote", "3", "--force", "--reason", "the camera was moved") == 0

    release(run, "history")
    assert capsys.readouterr().out.splitlines()[-1].endswith("promote stable: 1 -> 3, the camera was moved")
    lines = [json.loads(line) for line in run.audit.read_text().splitlines()]
    assert [line["result"].split(":")[0] for line in lines] == ["done", "refused", "done"]
