"""The recipe `full` as a user starts it, its models shrunk by overrides: every process is real."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.conductor.journal import STAGES
from tests.loop.launched import (
    LONG_JOINT_STAGE,
    LaunchedRun,
    assert_books_agree,
    assert_stops_in_order,
    labels,
    resume_to_the_end,
    stages,
)
from tests.shrunk import SHRUNK

pytestmark = [pytest.mark.loop, pytest.mark.timeout(900)]


def test_the_full_recipe_passes_all_stages_over_a_stop_and_its_policies_act(tmp_path: Path) -> None:
    run = LaunchedRun(tmp_path / "run", "full", *SHRUNK, *LONG_JOINT_STAGE)
    try:
        run.until(run.is_in_joint_stage)
        assert_stops_in_order(run, signal.SIGTERM)
        resume_to_the_end(run.folder)
    finally:
        run.kill()

    assert "going on from checkpoint" in (run.folder / "logs" / "learner.log").read_text()
    assert stages(run.events()) == list(STAGES)
    counted = labels(run.events())
    assert (counted["stage2"], counted["final"]) == (1, 1)
    assert_books_agree(run.folder)
    report = json.loads((run.folder / "report.json").read_text())
    assert report["reason"] == "done"
    assert all(report["together"][when]["trials"] > 0 for when in ("before", "after"))
    registry = DirectoryRegistry(run.folder / "registry")
    architectures = [registry.manifest(kind, "final")["architecture"] for kind in (Kind.POLICY, Kind.WORLD)]
    assert architectures == ["paligemma2", "wan2.2"]
