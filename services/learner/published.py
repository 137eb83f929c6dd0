"""The published world model, frozen: the only one whose tokens the policy ever sees, on actors and here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ramp.data.normalize import Normalizer
from ramp.data.transforms import fold_of, observation_tensors
from ramp.interfaces import Registry
from ramp.models.manifest import load_world
from ramp.models.world.joint import JointModel, Prediction
from ramp.models.world.latents import out_of_fold
from ramp.types import Episode, Kind, Observation
from services.learner.foresight import Foresight, misses
from services.learner.latents import FrameLatents, Key
from services.learner.precision import matrix_products

CACHED = 16_384  # token sets kept; beyond it the oldest are forgotten


class PublishedWorld:
    """One world-model version. Tokens of a frame are predicted once and kept: the model does not change any more.

    A prediction starts from noise, but at this end of the flow the answer hardly depends on it, so that one draw per
    frame stands for all. `latents` are shared with whoever has the same tokenizer: all versions of a run.
    """

    def __init__(
        self,
        model: JointModel,
        version: int,
        device: torch.device,
        latents: FrameLatents | None = None,
        *,
        bfloat16: bool = False,
    ) -> None:
        self.version, self._bfloat16 = version, bfloat16
        self._latents = latents or FrameLatents()
        self._model = model.to(device).eval().requires_grad_(False)
        self._device = device
        self._tokens: dict[Key, Tensor] = {}

    @classmethod
    def from_registry(
        cls,
        registry: Registry,
        version: int,
        device: torch.device,
        latents: FrameLatents | None = None,
        *,
        bfloat16: bool = False,
    ) -> PublishedWorld:
        """Predicting in bfloat16 if asked. Raises NotFound, Corrupt, Invalid."""
        tensors, manifest = registry.load(Kind.WORLD, version)
        return cls(load_world(tensors, manifest), version, device, latents, bfloat16=bfloat16)

    def tokens(self, keys: Sequence[Key], tensors: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """float32 [B, N, D] for the frames `keys` (episode, step), whose observations are the rows of `tensors`."""
        missing = [row for row, key in enumerate(keys) if key not in self._tokens]
        if missing:
            chosen = {name: tensors[name][missing] for name in ("images", "proprio", "words")}
            chosen["latents"] = self._seen([keys[row] for row in missing], chosen["images"])
            predicted = self._predict(chosen, generator).tokens
            self._tokens.update({keys[row]: found for row, found in zip(missing, predicted, strict=True)})
        found = torch.stack([self._tokens[key] for key in keys])
        self._forget()
        return found

    def foresee(self, episode: Episode, rows: slice, normalizer: Normalizer, seed: int) -> Foresight:
        """At some of the episode's frames; the remaining time by the output that took no loss from this episode. Both
        outputs are of one network and share its weights (docs/recipe.md)."""
        seen = observation_tensors(observations(episode, rows), normalizer)
        tensors = {name: tensor.to(self._device) for name, tensor in seen.items()}
        steps = episode.steps.step[episode.steps.frame_row[rows]].tolist()
        tensors["latents"] = self._seen([(episode.header.episode_id, step) for step in steps], tensors["images"])
        generator = torch.Generator(device=self._device).manual_seed(seed)
        found = self._predict(tensors, generator)
        fold = torch.full((len(found.remaining),), fold_of(episode.header.episode_id), device=self._device)
        remaining = out_of_fold(found.remaining, fold).cpu().numpy().astype(np.float32)
        horizons = self._model.config.foreseen
        return Foresight(remaining=remaining, misses=misses(found.tokens, tensors["latents"], steps, horizons))

    def _predict(self, tensors: Mapping[str, Tensor], generator: torch.Generator) -> Prediction:
        with matrix_products(self._device, self._bfloat16):
            return self._model.predict(tensors, generator=generator)

    def _seen(self, keys: Sequence[Key], images: Tensor) -> Tensor:
        return self._latents.of(keys, images, self._model.tokenize)

    def _forget(self) -> None:
        while len(self._tokens) > CACHED:
            del self._tokens[next(iter(self._tokens))]


def observations(episode: Episode, rows: slice) -> list[Observation]:
    """What was seen at some of an episode's frames."""
    steps, instruction = episode.steps, episode.header.instruction
    frames = range(len(steps.frame_row))[rows]
    return [
        Observation(
            images={camera: images[frame] for camera, images in steps.images.items()},
            proprio=steps.proprio[steps.frame_row[frame]],
            instruction=instruction,
        )
        for frame in frames
    ]
