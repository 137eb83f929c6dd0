"""Floating-point operations of the full models, in closed form; a matrix product [m, k] [k, n] has 2 m k n.

What is counted is what the models need: products, convolutions and attention, forward and backward, and nothing that
activation checkpointing computes a second time. A backward pass through a product costs two of it: one for the
gradient of its input, one for that of its weights; where the input is data, only the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ramp.models.vla import PaliGemmaConfig
from ramp.models.world import WanConfig
from ramp.models.world.latents import Layout

FREQUENCIES = 256
"""Sinusoids of Wan's time step."""
HALVINGS = 3
"""Of a frame's side in Wan2.2's encoder, besides that of its first cells."""


@dataclass(frozen=True)
class Flops:
    """Of one sample."""

    forward: int
    backward: int

    @property
    def step(self) -> int:
        """A training step's."""
        return self.forward + self.backward

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.forward + other.forward, self.backward + other.backward)


def trained(forward: int) -> Flops:
    """Products whose inputs have gradients too."""
    return Flops(forward, 2 * forward)


def on_data(forward: int) -> Flops:
    """Products that read data: it takes no gradient."""
    return Flops(forward, forward)


def frozen(forward: int) -> Flops:
    """Products that nothing is learned from."""
    return Flops(forward, 0)


def attention(queries: int, keys: int, width: int) -> int:
    """Scores and their weighted sums, over all heads, which are `width` numbers wide together."""
    return 2 * 2 * queries * keys * width


def policy_flops(config: PaliGemmaConfig, *, views: int, prompt: int, tokens: tuple[int, int]) -> Flops:
    """PaliGemmaPolicy's flow-matching step on one sample: `prompt` ids of instruction, `tokens` (N, D) of the world
    model. Without the tokens (N = 0) and backward it is the efficient mode's prefix and one Euler step."""
    length = views * patches(config) + prompt + tokens[0]
    future = on_data(2 * tokens[0] * tokens[1] * config.language_width) + trained(
        2 * tokens[0] * config.language_width**2
    )
    return vision(config, views) + future + language(config, length) + expert(config, length)


def patches(config: PaliGemmaConfig) -> int:
    """Of one picture."""
    return (config.image_side // config.image_patch) ** 2


def vision(config: PaliGemmaConfig, views: int) -> Flops:
    """SigLIP and the projection to the language model's width."""
    count, width = patches(config), config.channels
    embed = 2 * count * 3 * config.image_patch**2 * width
    layer = 2 * count * (4 * width**2 + 2 * width * config.vision_ffn) + attention(count, count, width)
    project = 2 * count * width * config.language_width
    return on_data(views * embed) + trained(views * (config.vision_layers * layer + project))


def language(config: PaliGemmaConfig, length: int) -> Flops:
    """Gemma 2 over a prefix. Only keys and values of the last layer are read, so that nothing behind them learns."""
    width, queries, keys = config.language_width, config.heads * config.head_width, key_width(config)
    read = 2 * length * width * 2 * keys
    rest = 2 * length * (2 * width * queries + 3 * width * config.language_ffn) + attention(length, length, queries)
    return trained(config.layers * read + (config.layers - 1) * rest) + frozen(rest)


def expert(config: PaliGemmaConfig, length: int) -> Flops:
    """One velocity of the action chunk, behind a prefix of `length` tokens."""
    width, queries, keys = config.width, config.heads * config.head_width, key_width(config)
    count = 1 + config.chunk
    products = 2 * count * width * (2 * queries + 2 * keys + 3 * config.ffn)
    modulations = 2 * width * 3 * width
    layer = products + attention(count, length + count, queries) + 2 * modulations
    inputs = 2 * count * config.slots * width + 2 * width * width  # state and action; the flow time's first layer
    outputs = 2 * width * width + modulations + 2 * config.chunk * width * config.slots
    return on_data(inputs) + trained(config.layers * layer + outputs)


def key_width(config: PaliGemmaConfig) -> int:
    return config.key_value_heads * config.head_width


def world_flops(config: WanConfig, layout: Layout, *, pixels: tuple[int, int], words: int, moments: int = 1) -> Flops:
    """WorldModelAlgorithm's step on one sample of frames padded to `pixels` (height, width): every frame goes through
    the frozen tokenizer, present and future go through the transformer together. `moments` as in `encoder`."""
    frames = frozen((layout.views + layout.visual_frames) * encoder(config, pixels, moments))
    return frames + transformer(config, layout, words)


def transformer(config: WanConfig, layout: Layout, words: int) -> Flops:
    """Wan's, over proprioception, the present and the joint latent; a time step for every token."""
    width, count = config.width, layout.tokens * (1 + layout.views + layout.frames)
    cells = config.latent_channels * config.latent_patch**2
    itself = 2 * count * 4 * width**2 + attention(count, count, width)
    text = 2 * (count + words) * 2 * width**2 + attention(count, words, width)
    layer = itself + text + 2 * count * 2 * width * config.ffn
    times, instruction = 2 * count * (width + 6 * width) * width, 2 * words * (config.text_width + width) * width
    ends = 2 * count * cells * width
    return on_data(ends + 2 * count * FREQUENCIES * width) + trained(config.layers * layer + times + instruction + ends)


def encoder(config: WanConfig, pixels: tuple[int, int], moments: int) -> int:
    """Forward, of Wan2.2's autoencoder over one frame: two by two pixels are one cell at first, then a side is halved
    three times. Of the three moments that a convolution spans a frame by itself needs 1; 3 are computed, with zeros."""
    cells, kernel = pixels[0] * pixels[1] // 4, 9 * moments
    widths = [config.encoder_width * times for times in (1, 1, 2, 4, 4)]
    total = convolution(kernel, 12, widths[0], cells)
    for level, (inward, outward) in enumerate(pairwise(widths)):
        total += residual(kernel, inward, outward, cells) + residual(kernel, outward, outward, cells)
        if level < HALVINGS:
            cells //= 4
            total += convolution(9, outward, outward, cells)
    width, latent = widths[-1], 2 * config.latent_channels
    total += 2 * residual(kernel, width, width, cells)
    total += convolution(1, width, 4 * width, cells) + attention(cells, cells, width)
    return total + convolution(kernel, width, latent, cells) + convolution(1, latent, latent, cells)


def convolution(kernel: int, inward: int, outward: int, cells: int) -> int:
    """`kernel` counts its cells, `cells` those of the output."""
    return 2 * kernel * inward * outward * cells


def residual(kernel: int, inward: int, outward: int, cells: int) -> int:
    """Two convolutions, and a third past them where the width changes."""
    both = convolution(kernel, inward, outward, cells) + convolution(kernel, outward, outward, cells)
    return both + (convolution(1, inward, outward, cells) if inward != outward else 0)
