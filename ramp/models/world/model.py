"""The world model: tokenizer and predictor, and what one denoising step of them says."""

from __future__ import annotations

from torch import Tensor

from ramp.errors import Invalid
from ramp.models.frames import STRIDE, to_float
from ramp.models.world.config import WorldConfig
from ramp.models.world.joint import JointModel, joint_layout, latent_grid
from ramp.models.world.predictor import Predictor
from ramp.models.world.tokenizer import Tokenizer, group
from ramp.types import StepSchema


class WorldModel(JointModel):
    """The small size.

    Raises Invalid where the cameras of the schema differ in size or have neither three channels nor four, or there
    are no horizons. Of four it sees the first three.
    """

    def __init__(self, config: WorldConfig, schema: StepSchema) -> None:
        super().__init__()
        rows, columns = latent_grid(schema, stride=STRIDE, compression=STRIDE)
        self.config, self.schema = config, schema
        self.patch = config.latent_patch if rows % config.latent_patch == 0 == columns % config.latent_patch else 1
        self.layout = joint_layout(config, schema, grid=(rows, columns), patch=self.patch)
        self.tokenizer = Tokenizer(config)
        self.predictor = Predictor(config, self.layout)

    def train_only(self, part: str) -> None:
        """Let one part, "tokenizer" or "predictor", take gradients and freeze the other.

        Freezing matters with optimisers that decay weights whose gradient is zero. Raises Invalid for another name.
        """
        if part not in ("tokenizer", "predictor"):
            raise Invalid("part", part, "tokenizer or predictor")
        self.tokenizer.requires_grad_(part == "tokenizer")
        self.predictor.requires_grad_(part == "predictor")

    def tokenize(self, images: Tensor) -> Tensor:
        """uint8 frames [..., V, height, width, 3 or 4] to latent tokens float32 [..., V, n, d]; no gradient."""
        tokens = group(self.tokenizer.encode(to_float(images)), self.patch)
        return tokens.unflatten(0, images.shape[:-3])
