"""Models by the type of their settings: the one place that knows which sizes there are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch

from ramp.errors import Invalid, RampError
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.config import PolicyConfig
from ramp.models.vla.instructions import TOKENIZER, Instructions
from ramp.models.vla.paligemma import PaliGemmaPolicy
from ramp.models.vla.paligemma_config import PaliGemmaConfig
from ramp.models.vla.paligemma_parts import check_backbone
from ramp.models.vla.policy import VLAPolicy
from ramp.models.world.config import WorldConfig
from ramp.models.world.joint import JointModel
from ramp.models.world.model import WorldModel
from ramp.models.world.wan import WanWorldModel
from ramp.models.world.wan_config import WanConfig
from ramp.models.world.wan_parts import check_parts
from ramp.types import StepSchema

C = TypeVar("C", PolicyConfig, WorldConfig)

POLICIES: Mapping[type[PolicyConfig], type[ChunkPolicy]] = {PolicyConfig: VLAPolicy, PaliGemmaConfig: PaliGemmaPolicy}
WORLDS: Mapping[type[WorldConfig], type[JointModel]] = {WorldConfig: WorldModel, WanConfig: WanWorldModel}

LIBRARIES = {"paligemma2": ("transformers", "tokenizers"), "wan2.2": ("diffusers",)}
"""What an architecture needs besides torch."""


def new_policy(config: PolicyConfig, schema: StepSchema, token_shape: tuple[int, int]) -> ChunkPolicy:
    """Random weights, to be trained or to be filled. Raises Invalid where the arguments do not fit together."""
    return POLICIES[type(config)](config, schema, token_shape)


def new_world(config: WorldConfig, schema: StepSchema) -> JointModel:
    """Random weights, to be trained or to be filled. Raises Invalid where the arguments do not fit together."""
    return WORLDS[type(config)](config, schema)


def first_policy(config: PolicyConfig, schema: StepSchema, token_shape: tuple[int, int]) -> ChunkPolicy:
    """As a run begins: published weights, as float32, where the settings name a folder, else random ones.

    Raises NotFound and Invalid for a folder without them, besides what `new_policy` raises.
    """
    if isinstance(config, PaliGemmaConfig) and config.weights:
        folder = Path(config.weights)
        return PaliGemmaPolicy.from_folder(folder, config, schema, token_shape, dtype=torch.float32)
    return new_policy(config, schema, token_shape)


def first_world(config: WorldConfig, schema: StepSchema) -> JointModel:
    """As `first_policy`."""
    if isinstance(config, WanConfig) and config.weights:
        return WanWorldModel.from_folder(Path(config.weights), config, schema, dtype=torch.float32)
    return new_world(config, schema)


def check_start(policy: PolicyConfig, world: WorldConfig) -> None:
    """Whether a run could build these models, and begin with the folders that its settings name; no weights are read.

    Raises Invalid, naming the setting: for a folder that does not exist, of another architecture or not whole, and for
    a library that is not installed.
    """
    for field, config in (("policy", policy), ("world", world)):
        missing = [name for name in LIBRARIES.get(config.architecture, ()) if find_spec(name) is None]
        if missing:
            raise Invalid(field, config.architecture, f"it needs {', '.join(missing)}: make clean setup installs it")
    if isinstance(policy, PaliGemmaConfig) and policy.weights:
        folder = Path(policy.weights)
        try:
            check_backbone(folder, policy)
            Instructions.from_folder(folder, policy.prompt)
        except RampError as error:
            raise Invalid("policy.weights", folder, str(error)) from error
    if isinstance(world, WanConfig) and world.weights:
        folder = Path(world.weights)
        try:
            check_parts(folder, world)
        except RampError as error:
            raise Invalid("world.weights", folder, str(error)) from error


def instructions(config: PolicyConfig, tokenizer: bytes | None) -> Instructions | None:
    """How the policy is told its task besides hashed words: by `tokenizer`, the content of the tokenizer.json that lay
    beside its published weights. None where it began with random ones.

    Raises Invalid where the tokenizer is missing or of another model.
    """
    if not (isinstance(config, PaliGemmaConfig) and config.weights):
        return None
    if tokenizer is None:
        remedy = "this policy began with published weights: publish it with their tokenizer, it reads nothing else"
        raise Invalid(TOKENIZER, "absent", remedy)
    return Instructions.from_content(tokenizer, config.prompt)


def config_of(kinds: Mapping[type[C], object], architecture: str) -> type[C]:
    """Which settings a manifest's architecture has, of POLICIES or WORLDS. Raises Invalid for an unknown name."""
    known = {kind.architecture: kind for kind in kinds}
    if architecture not in known:
        raise Invalid("manifest.architecture", architecture, f"this program knows {', '.join(sorted(known))}")
    return known[architecture]
