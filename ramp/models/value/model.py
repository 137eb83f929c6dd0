"""Remaining time from one observation: a head on the summary of a vision-language backbone of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ramp.models.frames import frame_side, to_float
from ramp.models.value.config import ValueConfig
from ramp.models.vla.backbone import Backbone
from ramp.types import StepSchema


class ValueModel(nn.Module):
    """p(V | o, l) over the centres of B bins (RECAP), or with one bin a regression from the summary (RAMP, Table 1).

    V is the remaining time in [0, 1] of the task's limit, as the world model predicts it. RECAP's return is -V.
    Raises Invalid where the cameras of the schema differ in size or have neither three channels nor four. Of four it
    sees the first three.
    """

    centres: Tensor

    def __init__(self, config: ValueConfig, schema: StepSchema) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        self.backbone = Backbone(
            views=len(schema.cameras),
            side=frame_side(schema),
            proprio=schema.proprio_width,
            channels=config.channels,
            width=config.width,
        )
        self.head = nn.Linear(config.width, config.bins)
        self.register_buffer("centres", torch.linspace(0.0, 1.0, config.bins), persistent=False)

    def forward(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """float32 [B, bins]: logits of the bins; with one bin the remaining time itself.

        Needs the keys images, proprio and words of ramp/data/transforms.py.
        """
        images = tensors["images"]
        frames = to_float(images).unflatten(0, images.shape[:2])
        _, summary = self.backbone(frames, tensors["proprio"], tensors["words"])
        return self.head(F.silu(summary))

    @torch.no_grad()
    def predict(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Remaining time, float32 [B] in [0, 1]: the expectation over the bins, V = sum_b p(b) v(b)."""
        answer = self(tensors)
        if self.config.bins == 1:
            return answer[:, 0].clamp(0.0, 1.0)
        return answer.softmax(dim=-1) @ self.centres
