"""Weights and manifests: all that another process needs to rebuild a model, as tensors and plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ramp.data.normalize import Normalizer
from ramp.data.thoughts import ThoughtVocabulary
from ramp.errors import Invalid
from ramp.models.build import POLICIES, WORLDS, config_of, new_policy, new_world
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.config import PolicyConfig, Told
from ramp.models.world.config import WorldConfig
from ramp.models.world.joint import JointModel
from ramp.types import StepSchema

C = TypeVar("C", PolicyConfig, WorldConfig, Told)
M = TypeVar("M", bound=nn.Module)


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's weights and buffers on the CPU, contiguous, as a registry stores them."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}


def load_weights(model: M, tensors: Mapping[str, Tensor]) -> M:
    """Fill `model` in place. Raises Invalid, naming the tensor, for other names or shapes and for nan or infinity."""
    own = model.state_dict()
    for name in sorted(set(own) ^ set(tensors)):
        raise Invalid("weights", name, "the model has no such tensor" if name in tensors else "the tensor is missing")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise Invalid(f"weights.{name}", tuple(tensor.shape), f"the model needs {tuple(own[name].shape)}")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise Invalid(f"weights.{name}", "not finite", "do not publish weights with nan or infinite values")
    model.load_state_dict(dict(tensors))
    return model


def world_manifest(model: JointModel, normalizer: Normalizer) -> dict[str, Any]:
    """Plain JSON: architecture, config, schema, normalizer."""
    return {
        "architecture": model.config.architecture,
        "config": asdict(model.config),
        "schema": schema_dict(model.schema),
        "normalizer": normalizer.to_dict(),
    }


def policy_manifest(
    model: ChunkPolicy, normalizer: Normalizer, told: Told, thoughts: ThoughtVocabulary | None = None
) -> dict[str, Any]:
    """Plain JSON: architecture, config, schema, normalizer, token_shape, told, and of a policy that thinks the words it
    knows."""
    spoken = {} if thoughts is None else {"thoughts": thoughts.to_dict()}
    return spoken | {
        "architecture": model.config.architecture,
        "config": asdict(model.config),
        "schema": schema_dict(model.schema),
        "normalizer": normalizer.to_dict(),
        "token_shape": list(model.token_shape),
        "told": asdict(told),
    }


def load_world(tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> JointModel:
    """The world model of a manifest, whatever its size (further fields are ignored). Raises Invalid where architecture,
    settings or weights do not fit."""
    config = _config(config_of(WORLDS, _need(manifest, "architecture")), _need(manifest, "config"))
    return load_weights(new_world(config, schema_from(_need(manifest, "schema"))), tensors)


def load_policy(tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> ChunkPolicy:
    """The policy of a manifest; see `load_world`."""
    config = _config(config_of(POLICIES, _need(manifest, "architecture")), _need(manifest, "config"))
    count, width = _need(manifest, "token_shape")
    return load_weights(new_policy(config, schema_from(_need(manifest, "schema")), (count, width)), tensors)


def check_architecture(manifest: Mapping[str, Any], config: PolicyConfig | WorldConfig) -> None:
    """Raises Invalid where a version is of another architecture than `config`, before its tensors are looked at."""
    found = _need(manifest, "architecture")
    if found != config.architecture:
        raise Invalid("manifest.architecture", found, f"these settings have {config.architecture}: use their own run's")


def load_told(manifest: Mapping[str, Any]) -> Told:
    """What the policy of a manifest must be told. Raises Invalid for fields that are missing or unknown."""
    return _config(Told, _need(manifest, "told"))


def load_thoughts(manifest: Mapping[str, Any]) -> ThoughtVocabulary | None:
    """The words of a policy that thinks, None for another. Raises Invalid for a vocabulary that is damaged."""
    return ThoughtVocabulary.from_dict(manifest["thoughts"]) if "thoughts" in manifest else None


def load_normalizer(manifest: Mapping[str, Any]) -> Normalizer:
    return Normalizer.from_dict(_need(manifest, "normalizer"))


def schema_dict(schema: StepSchema) -> dict[str, Any]:
    """A step schema as plain JSON."""
    return {
        "cameras": {camera: list(shape) for camera, shape in sorted(schema.cameras.items())},
        "proprio_width": schema.proprio_width,
        "action_low": list(schema.action_low),
        "action_high": list(schema.action_high),
    }


def schema_from(plain: Mapping[str, Any]) -> StepSchema:
    """Inverse of `schema_dict`. Raises Invalid for a missing field."""
    cameras = {camera: (int(h), int(w), int(c)) for camera, (h, w, c) in _need(plain, "cameras").items()}
    return StepSchema(
        cameras=cameras,
        proprio_width=int(_need(plain, "proprio_width")),
        action_low=tuple(float(x) for x in _need(plain, "action_low")),
        action_high=tuple(float(x) for x in _need(plain, "action_high")),
    )


def _need(manifest: Mapping[str, Any], field: str) -> Any:
    if field not in manifest:
        raise Invalid("manifest", f"no {field}", "publish with the manifest that ramp.models.manifest makes")
    return manifest[field]


def _config(kind: type[C], plain: Mapping[str, Any]) -> C:
    known = {field.name for field in fields(kind)}
    for name in sorted(set(plain) - known):
        raise Invalid(f"manifest.config.{name}", plain[name], f"{kind.__name__} knows {', '.join(sorted(known))}")
    arguments: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in plain.items()}
    return kind(**arguments)
