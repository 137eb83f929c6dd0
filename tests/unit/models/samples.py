"""Small schemas, batches and models that the tests of models and algorithms share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ramp.data.normalize import Normalizer
from ramp.data.transforms import to_tensors
from ramp.models.vla import PolicyConfig, VLAPolicy
from ramp.models.world import WorldConfig, WorldModel
from ramp.types import Batch, Observation, StepSchema

torch.set_num_threads(1)  # the models are so small that a second thread only waits

SCHEMA = StepSchema(
    cameras={"front": (32, 32, 3), "side": (32, 32, 3)},
    proprio_width=3,
    action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0),
)
WORLD = WorldConfig(horizons=(4, 8), latent_channels=4, latent_patch=2, width=32, layers=1, heads=2)
POLICY = PolicyConfig(chunk=4, ode_steps=3, width=32, layers=2, heads=2, channels=8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normalizer() -> Normalizer:
    rng = np.random.default_rng(0)
    return Normalizer.fit(rng.uniform(-1, 1, (200, 3)), rng.uniform(-0.5, 0.8, (200, 2)))


def batch(size: int = 6, *, horizons: int = 2, chunk: int = 4, seed: int = 0) -> Batch:
    """Random items of SCHEMA, one per episode, all valid, success and failure in turn."""
    rng = np.random.default_rng(seed)

    def frames(*shape: int) -> dict[str, np.ndarray]:
        return {c: rng.integers(0, 256, (*shape, 32, 32, 3), dtype=np.uint8) for c in SCHEMA.cameras}

    return Batch(
        episode_id=[f"episode-{seed}-{index}" for index in range(size)],
        task=["a"] * size,
        instruction=[("open the drawer", "press the button")[index % 2] for index in range(size)],
        step=np.arange(size, dtype=np.int32),
        length=np.full(size, 20, np.int32),
        max_steps=np.full(size, 40, np.int32),
        success=np.arange(size) % 2 == 0,
        probability=np.full(size, 1.0 / size),
        policy_version=np.zeros(size, np.int32),
        source=np.full(size, 2, np.uint8),
        images=frames(size),
        proprio=rng.uniform(-1, 1, (size, 3)).astype(np.float32),
        action=rng.uniform(-0.5, 0.8, (size, chunk, 2)).astype(np.float32),
        chunk_valid=np.ones((size, chunk), bool),
        future_images=frames(size, horizons),
        future_proprio=rng.uniform(-1, 1, (size, horizons, 3)).astype(np.float32),
        future_valid=np.ones((size, horizons), bool),
        value=np.full(size, np.nan, np.float32),
        advantage=np.full(size, np.nan, np.float32),
        indicator=(np.arange(size) % 3 - 1).astype(np.int8),
        annotation_version=np.zeros(size, np.int32),
    )


def tensors(size: int = 6, *, horizons: int = 2, seed: int = 0) -> dict[str, Tensor]:
    return to_tensors(batch(size, horizons=horizons, seed=seed), normalizer())


def observation(seed: int = 0) -> Observation:
    rng = np.random.default_rng(seed)
    images = {c: rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for c in SCHEMA.cameras}
    return Observation(images=images, proprio=rng.uniform(-1, 1, 3).astype(np.float32), instruction="open the drawer")


def world(seed: int = 0) -> WorldModel:
    torch.manual_seed(seed)
    return WorldModel(WORLD, SCHEMA)


def policy(seed: int = 0) -> VLAPolicy:
    """A policy all of whose weights differ from zero, so that every path through it counts."""
    torch.manual_seed(seed)
    model = VLAPolicy(POLICY, SCHEMA, world().token_shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model
