"""PaliGemma-2, new or from a folder: the one home of transformers, which is loaded when the model is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ramp.models.folder import check_architecture, check_tensors, load_all, read_config
from ramp.models.vla.paligemma_config import PaliGemmaConfig

if TYPE_CHECKING:
    from transformers import PaliGemmaForConditionalGeneration


def new_backbone(config: PaliGemmaConfig) -> PaliGemmaForConditionalGeneration:
    """Random weights, on torch's current default device and in its default dtype."""
    from transformers import PaliGemmaConfig as Published
    from transformers import PaliGemmaForConditionalGeneration

    return PaliGemmaForConditionalGeneration(
        Published(
            vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **vision_numbers(config)},
            text_config={"model_type": "gemma2", **text_numbers(config)},
            projection_dim=config.language_width,
            hidden_size=config.language_width,
            image_token_index=config.vocabulary - 1,
        )
    )


def read_backbone(folder: Path, config: PaliGemmaConfig, dtype: torch.dtype) -> PaliGemmaForConditionalGeneration:
    """Weights of a folder as PaliGemma-2 is published (config.json, *.safetensors).

    Raises NotFound where there is no config.json, Invalid where it is of another architecture or tensors are missing.
    """
    from transformers import PaliGemmaForConditionalGeneration

    check_backbone(folder, config)
    load = PaliGemmaForConditionalGeneration.from_pretrained
    return load_all(folder, lambda: load(folder, dtype=dtype, local_files_only=True, output_loading_info=True))


def check_backbone(folder: Path, config: PaliGemmaConfig) -> None:
    """Whether `read_backbone` would find weights of this architecture, without reading them. Raises as it does."""
    from transformers import PaliGemmaConfig as Published

    plain = read_config(folder)
    check_architecture(folder, plain, {"model_type": "paligemma"})
    check_architecture(folder, plain.get("text_config", {}), {"model_type": "gemma2"})
    published = Published.from_pretrained(folder, local_files_only=True)  # fills in what config.json leaves out
    for part, numbers in (("text_config", text_numbers(config)), ("vision_config", vision_numbers(config))):
        check_architecture(folder, _prefixed(part, getattr(published, part).to_dict()), _prefixed(part, numbers))
    check_tensors(folder)


def text_numbers(config: PaliGemmaConfig) -> dict[str, Any]:
    """What makes Gemma 2 this size."""
    return {
        "vocab_size": config.vocabulary,
        "hidden_size": config.language_width,
        "intermediate_size": config.language_ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "query_pre_attn_scalar": config.head_width,
    }


def vision_numbers(config: PaliGemmaConfig) -> dict[str, Any]:
    """What makes SigLIP this size."""
    return {
        "hidden_size": config.channels,
        "intermediate_size": config.vision_ffn,
        "num_hidden_layers": config.vision_layers,
        "num_attention_heads": config.vision_heads,
        "image_size": config.image_side,
        "patch_size": config.image_patch,
    }


def _prefixed(part: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{part}.{name}": value for name, value in numbers.items()}
