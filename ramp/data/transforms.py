"""One chain from robot units to tensors, for training batches and for serving alike.

Keys of the resulting dict (V cameras in sorted order; legend in ramp/types.py):

    images          uint8   [B, V, height, width, 3 or 4]
    proprio         float32 [B, P]       normalised
    words           int64   [B, W]       hashed words of the instruction
    prompt          int64   [B, L]       the instruction by a policy's own tokenizer, only where it has one
  and for training:
    action          float32 [B, H, A]    normalised
    chunk_valid     bool    [B, H]
    advantage       float32 [B]          nan where there is none
    indicator       int64   [B]          1, 0 or UNLABELLED
    remaining       float32 [B]          this episode's remaining time in [0, 1], the value's label
    fold            int64   [B]          0 or 1; value output k takes no loss from fold k
    future_images   uint8   [B, K, V, height, width, 3 or 4]   only where horizons were asked for
    future_proprio  float32 [B, K, P]
    future_valid    bool    [B, K]       False beyond the end of a failure: nobody knows what had come next; beyond
                                         that of a success True: a reached goal stays reached
  and for a policy that thinks, from `thought_tensors`:
    thought_tokens  int64   [B, L]       ids of ramp/data/thoughts.py
    thought_mask    bool    [B, L]       M_CoT of Eq. 1: which of them are labels
    track           float32 [B, 10, 2]   of ramp/data/track.py
    track_valid     bool    [B, 10]
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ramp.data.normalize import Normalizer
from ramp.data.thoughts import ThoughtVocabulary
from ramp.data.words import word_ids
from ramp.errors import Invalid
from ramp.types import Batch, Observation, Source

FOLDS = 2
IMITATED = (Source.DEMO, Source.HUMAN)
"""Who acted at the steps whose thoughts are learnt: demonstrators, and people who correct. A policy's own steps teach
it to act under an indicator that tells good from bad; the thought is told of none, so they teach it nothing, successes
included."""
Prompts = Callable[[Sequence[str]], np.ndarray]
"""Instructions to token ids int64 [B, L]; a tokenizer that some policy brings (ramp/models/vla/instructions.py)."""


def fold_of(episode_id: str) -> int:
    """The half an episode belongs to, the same on every machine and for ever."""
    return zlib.crc32(episode_id.encode()) % FOLDS


def remaining_time(
    step: np.ndarray, length: np.ndarray, max_steps: np.ndarray, success: np.ndarray, failure_penalty: float
) -> np.ndarray:
    """Label of the value: remaining steps over the task's limit, failures later by the penalty, cut to [0, 1].

    float32, any common shape; `step` is about to be taken, so at least one remains. Normalised by the limit and not by
    the episode's own length, so that speed counts (RECAP). `failure_penalty` is C_fail over max_steps
    (RAMP Eq. 5).
    """
    remaining = (length - step) / max_steps + np.where(success, 0.0, failure_penalty)
    return np.clip(remaining, 0.0, 1.0).astype(np.float32)


def to_tensors(
    batch: Batch, normalizer: Normalizer, *, failure_penalty: float = 1.0, prompts: Prompts | None = None
) -> dict[str, Tensor]:
    """A training batch as tensors; see the module's table. Raises Invalid where widths disagree with the normaliser."""
    tensors = _observed(batch.images, batch.proprio, batch.instruction, normalizer, prompts)
    _check_width("action", batch.action, normalizer.action_low)
    remaining = remaining_time(batch.step, batch.length, batch.max_steps, batch.success, failure_penalty)
    tensors["action"] = torch.from_numpy(normalizer.normalise_action(batch.action))
    tensors["chunk_valid"] = torch.from_numpy(np.ascontiguousarray(batch.chunk_valid, bool))
    tensors["advantage"] = torch.from_numpy(np.array(batch.advantage, np.float32))
    tensors["indicator"] = torch.from_numpy(batch.indicator.astype(np.int64))
    tensors["remaining"] = torch.from_numpy(remaining)
    tensors["fold"] = torch.tensor([fold_of(episode) for episode in batch.episode_id], dtype=torch.int64)
    if batch.future_valid.size:
        tensors |= _future(batch, normalizer)
    return tensors


def thought_tensors(
    batch: Batch, normalizer: Normalizer, vocabulary: ThoughtVocabulary, *, length: int
) -> dict[str, Tensor]:
    """What a policy that thinks is taught besides acting: at steps of IMITATED the subgoal, the chunk as tokens where
    all of it is valid, and the track. Raises Invalid for a batch that came without labels."""
    if batch.subgoal is None or batch.track is None or batch.track_valid is None:
        raise Invalid("subgoal", "missing", "sample with a track_stride")
    shown = np.isin(batch.source, IMITATED)
    whole = shown & batch.chunk_valid.all(axis=1)
    action = normalizer.normalise_action(batch.action)
    texts = [text if text and known else None for text, known in zip(batch.subgoal, shown, strict=True)]
    chunks = [chunk if known else None for chunk, known in zip(action, whole, strict=True)]
    tokens, mask = vocabulary.encode(texts, chunks, length=length)
    return {
        "thought_tokens": torch.from_numpy(tokens),
        "thought_mask": torch.from_numpy(mask),
        "track": torch.from_numpy(np.array(batch.track, np.float32)),
        "track_valid": torch.from_numpy(batch.track_valid & shown[:, None]),
    }


def observation_tensors(
    observations: Sequence[Observation], normalizer: Normalizer, prompts: Prompts | None = None
) -> dict[str, Tensor]:
    """What a policy is served: images, proprio, words and prompt, by the same steps as in training."""
    cameras = observations[0].images
    images = {camera: np.stack([o.images[camera] for o in observations]) for camera in cameras}
    proprio = np.stack([o.proprio for o in observations])
    return _observed(images, proprio, [o.instruction for o in observations], normalizer, prompts)


def _observed(
    images: Mapping[str, np.ndarray],
    proprio: np.ndarray,
    instructions: Sequence[str],
    normalizer: Normalizer,
    prompts: Prompts | None,
) -> dict[str, Tensor]:
    _check_width("proprio", proprio, normalizer.proprio_low)
    tensors = {
        "images": torch.from_numpy(_stack(images, axis=1)),
        "proprio": torch.from_numpy(normalizer.normalise_proprio(proprio)),
        "words": torch.from_numpy(word_ids(instructions)),
    }
    return tensors if prompts is None else {**tensors, "prompt": torch.from_numpy(prompts(instructions))}


def _future(batch: Batch, normalizer: Normalizer) -> dict[str, Tensor]:
    return {
        "future_images": torch.from_numpy(_stack(batch.future_images, axis=2)),
        "future_proprio": torch.from_numpy(normalizer.normalise_proprio(batch.future_proprio)),
        "future_valid": torch.from_numpy(batch.future_valid | batch.success[:, None]),
    }


def _stack(images: Mapping[str, np.ndarray], *, axis: int) -> np.ndarray:
    """Cameras in sorted order, because maps lose their order on the wire."""
    return np.stack([images[camera] for camera in sorted(images)], axis=axis)


def _check_width(name: str, array: np.ndarray, low: np.ndarray) -> None:
    if array.shape[-1] != len(low):
        raise Invalid(name, f"width {array.shape[-1]}", f"the normaliser was fitted to width {len(low)}")
