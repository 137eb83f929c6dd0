"""Wan2.2's two networks, new or from a folder: the one home of diffusers, which is loaded when they are built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ramp.errors import Invalid
from ramp.models.folder import check_architecture, check_tensors, load_all, read_config
from ramp.models.world.wan_config import WanConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

COMPRESSION = 16
"""Pixels per latent cell and side."""

# Per channel, of the latents that Wan2.2's encoder gives for natural video (vae/config.json).
LATENTS_MEAN = (
    *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891),
    *(0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
    *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723),
    *(-0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
)
LATENTS_STD = (
    *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901),
    *(0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
    *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944),
    *(0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
)


@dataclass(frozen=True)
class WanParts:
    """The networks as diffusers has them."""

    transformer: WanTransformer3DModel
    autoencoder: AutoencoderKLWan


def new_parts(config: WanConfig) -> WanParts:
    """Random weights, on torch's current default device and in its default dtype. Raises Invalid for numbers that do
    not fit together."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    check_numbers(config)
    return WanParts(
        transformer=WanTransformer3DModel(**transformer_numbers(config)),
        autoencoder=AutoencoderKLWan(**autoencoder_numbers(config)),
    )


def read_parts(folder: Path, config: WanConfig, dtype: torch.dtype) -> WanParts:
    """Weights of a folder laid out as Wan2.2-TI2V-5B-Diffusers is: transformer/ and vae/ in it.

    Raises NotFound where a part is missing, Invalid where one has another architecture than `config` or lacks tensors.
    """
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    check_parts(folder, config)
    return WanParts(
        transformer=_read(WanTransformer3DModel, folder / "transformer", dtype),
        autoencoder=_read(AutoencoderKLWan, folder / "vae", dtype),
    )


def check_parts(folder: Path, config: WanConfig) -> None:
    """Whether `read_parts` would find weights of this architecture, without reading them. Raises as it does."""
    check_numbers(config)
    for part, kind, numbers in (
        ("transformer", "WanTransformer3DModel", transformer_numbers(config)),
        ("vae", "AutoencoderKLWan", autoencoder_numbers(config)),
    ):
        check_architecture(folder / part, read_config(folder / part), {"_class_name": kind, **numbers})
        check_tensors(folder / part)


def transformer_numbers(config: WanConfig) -> dict[str, Any]:
    """What makes WanTransformer3DModel this size; the rest of its arguments are the same in every Wan2.2 model."""
    return {
        "patch_size": (1, config.latent_patch, config.latent_patch),
        "num_attention_heads": config.heads,
        "attention_head_dim": config.width // config.heads,
        "in_channels": config.latent_channels,
        "out_channels": config.latent_channels,
        "text_dim": config.text_width,
        "freq_dim": 256,
        "ffn_dim": config.ffn,
        "num_layers": config.layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
    }


def autoencoder_numbers(config: WanConfig) -> dict[str, Any]:
    """What makes AutoencoderKLWan Wan2.2's and this size. It takes 2 x 2 pixels for 12 channels before the first
    convolution and halves a side three times more: 16 pixels a cell."""
    return {
        "base_dim": config.encoder_width,
        "decoder_base_dim": config.decoder_width,
        "z_dim": config.latent_channels,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "temperal_downsample": [False, True, True],
        "latents_mean": list(LATENTS_MEAN),
        "latents_std": list(LATENTS_STD),
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_temporal": 4,
        "scale_factor_spatial": COMPRESSION,
    }


def check_numbers(config: WanConfig) -> None:
    """Raises Invalid where the numbers of a configuration do not fit together."""
    if config.latent_channels != len(LATENTS_MEAN):
        raise Invalid("world.latent_channels", config.latent_channels, f"Wan2.2 has {len(LATENTS_MEAN)}")
    if config.width % config.heads:
        raise Invalid("world.width", config.width, f"take a multiple of world.heads, which is {config.heads}")


def _read(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    return load_all(
        folder,
        lambda: kind.from_pretrained(folder, torch_dtype=dtype, local_files_only=True, output_loading_info=True),
    )
