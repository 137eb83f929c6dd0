"""A policy with heads for thought, and labels for it, at the size of samples.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ramp.data.thoughts import ThoughtVocabulary
from ramp.models.vla import VLAPolicy
from tests.unit.algorithms.items import items
from tests.unit.models.samples import POLICY, SCHEMA, tensors, world

THINKING = replace(
    POLICY, thought=True, thought_layers=1, thought_length=40, text_vocabulary=300, action_vocabulary=140
)
TEXTS = ("reach to open the drawer", "grasp to open the drawer", "move to press the button")


def vocabulary() -> ThoughtVocabulary:
    chunks = tensors(64, seed=3)["action"].numpy()
    sizes = {"text_size": THINKING.text_vocabulary, "action_size": THINKING.action_vocabulary}
    return ThoughtVocabulary.fit(TEXTS, chunks, **sizes)


def thinker(seed: int = 0, **changes: Any) -> VLAPolicy:
    """All of its weights differ from zero, as in samples.policy."""
    torch.manual_seed(seed)
    model = VLAPolicy(replace(THINKING, **changes), SCHEMA, world().token_shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


def labelled(size: int = 3) -> dict[str, Tensor]:
    """Items with a thought and a track each."""
    found = items(size)
    texts = [TEXTS[row % len(TEXTS)] for row in range(size)]
    tokens, mask = vocabulary().encode(texts, list(found["action"].numpy()), length=THINKING.thought_length)
    track = np.random.default_rng(5).uniform(-1, 1, (size, 10, 2)).astype(np.float32)
    labels = {"thought_tokens": tokens, "thought_mask": mask, "track": track, "track_valid": np.ones((size, 10), bool)}
    return found | {name: torch.from_numpy(array) for name, array in labels.items()}
