"""The real LeRobot library loads what we export. It lives in an environment of its own: `make lerobot` makes it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ramp.datasets.columns import shown
from tests.unit.datasets.made import make_episode
from tests.unit.datasets.test_round_trip import MEAN_ERROR, export
from tests.unit.sources import ROOT

INTERPRETER = Path(os.environ.get("LEROBOT_PYTHON", ROOT / ".tools/lerobot/bin/python"))
READER = Path(__file__).with_name("lerobot_reader.py")

pytestmark = pytest.mark.skipif(not INTERPRETER.exists(), reason=f"there is no {INTERPRETER}: run `make lerobot`")


@pytest.mark.parametrize("lossless", [False, True], ids=["video", "images"])
def test_the_library_reads_every_row_of_an_exported_folder(tmp_path: Path, lossless: bool) -> None:
    episodes = [make_episode(0), make_episode(1, length=6, stride=1)]
    folder = export(tmp_path / "made", episodes, lossless=lossless)

    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "PATH": os.environ["PATH"]}
    command = [str(INTERPRETER), str(READER), str(folder), str(tmp_path / "seen.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]

    seen = np.load(tmp_path / "seen.npz")
    for name, field in (("state", "proprio"), ("action", "action")):
        ours = np.concatenate([getattr(episode.steps, field) for episode in episodes])
        assert seen[name].tobytes() == ours.tobytes()
    assert seen["episode"].tolist() == [0] * 11 + [1] * 6
    assert np.flatnonzero(seen["done"]).tolist() == [10, 16]
    assert np.flatnonzero(seen["success"]).tolist() == [16]
    assert seen["task"].tolist() == ["do the 0"] * 11 + ["do the 1"] * 6
    assert (int(seen["fps"]), seen["from"].tolist()) == (20, [0, 11])
    assert seen["q99"] == pytest.approx(
        np.quantile(np.concatenate([episode.steps.action for episode in episodes]), 0.99, axis=0)
    )
    for camera in ("top", "wrist"):
        ours = np.concatenate([episode.steps.images[camera][shown(episode)] for episode in episodes])
        theirs = 255 * seen[f"observation.images.{camera}"].transpose(0, 2, 3, 1)
        error = np.abs(ours - theirs).mean()
        assert error < (1e-3 if lossless else MEAN_ERROR)
