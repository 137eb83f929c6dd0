"""Recording: what is handed over is what happened, in batches of any size."""

from __future__ import annotations

import numpy as np
import pytest

from ramp.types import Source
from services.clients.recording import Recording


def recorded(steps: int, stride: int) -> Recording:
    recording = Recording(control_hz=10.0)
    for step in range(steps):
        frames = {"top": np.full((2, 2, 3), step, np.uint8)} if step % stride == 0 else None
        source = Source.HUMAN if step % 3 == 0 else Source.POLICY
        recording.add(np.array([step, 0.5]), np.array([step / 100]), source, frames)
    return recording


@pytest.mark.parametrize("size", [1, 3, 10, 50])
def test_batches_are_consecutive_and_carry_their_own_frames(size: int) -> None:
    recording = recorded(10, stride=4)
    trainable = np.arange(10) != 4

    batches = list(recording.batches(trainable, 7, size))

    assert np.concatenate([b.step for b in batches]).tolist() == list(range(10))
    assert np.concatenate([b.trainable for b in batches]).tolist() == trainable.tolist()
    frames = np.concatenate([b.step[b.frame_row] for b in batches])
    shown = np.concatenate([b.images["top"][:, 0, 0, 0] for b in batches])
    assert frames.tolist() == shown.tolist() == [0, 4, 8]
    for batch in batches:
        assert len(batch) <= size
        assert batch.images["top"].shape == (len(batch.frame_row), 2, 2, 3)
        assert np.array_equal(batch.proprio[:, 0], batch.step)
        assert set(batch.policy_version.tolist()) == {7}
        assert batch.reward.tolist() == [-1.0] * len(batch)


def test_columns_have_the_types_of_the_contract() -> None:
    batch = next(recorded(4, stride=2).batches(np.ones(4, bool), 0, 50))

    types = {name: getattr(batch, name).dtype for name in ("step", "timestamp", "proprio", "action", "source")}
    assert types == {"step": "int32", "timestamp": "f8", "proprio": "f4", "action": "f4", "source": "u1"}
    assert batch.timestamp.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_recording_keeps_copies_of_what_the_simulator_reuses() -> None:
    recording, proprio = Recording(10.0), np.zeros(1, np.float32)
    recording.add(proprio, np.zeros(1), Source.DEMO, None)
    proprio[0] = 9

    assert next(recording.batches(np.ones(1, bool), 0, 50)).proprio.tolist() == [[0.0]]
    assert (len(recording), recording.human_steps) == (1, 0)
