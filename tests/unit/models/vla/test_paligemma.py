"""The full policy: parameter counts on the meta device, the small policy's interface, insulation, local weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ramp.algorithms.ramp import RampAlgorithm
from ramp.errors import Invalid, NotFound
from ramp.models.frames import letterbox
from ramp.models.vla import PaliGemmaConfig, PaliGemmaPolicy
from ramp.models.vla.gemma_expert import GemmaExpert, rotation, turn
from ramp.types import UNLABELLED, StepSchema
from tests.unit.models.samples import SCHEMA, generator, tensors

TINY = PaliGemmaConfig(
    chunk=4,
    ode_steps=2,
    width=16,
    ffn=16,
    layers=2,
    heads=4,
    key_value_heads=2,
    head_width=8,
    language_width=32,
    language_ffn=32,
    vocabulary=520,
    channels=16,
    vision_ffn=16,
    vision_layers=1,
    vision_heads=2,
    image_side=28,
    slots=5,
)
TOKENS = (6, 10)
ROBOT = StepSchema(
    cameras=dict.fromkeys(("left", "right"), (224, 224, 3)),
    proprio_width=14,
    action_low=(-1.0,) * 14,
    action_high=(1.0,) * 14,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def policy(config: PaliGemmaConfig = TINY, schema: StepSchema = SCHEMA, seed: int = 0) -> PaliGemmaPolicy:
    """All of whose weights differ from zero, so that every path through it counts."""
    torch.manual_seed(seed)
    model = PaliGemmaPolicy(config, schema, TOKENS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


@pytest.fixture(scope="module")
def full() -> PaliGemmaPolicy:
    with torch.device("meta"):
        return PaliGemmaPolicy(PaliGemmaConfig(), ROBOT, (392, 192))


@pytest.fixture(scope="module")
def tiny() -> PaliGemmaPolicy:
    return policy().eval()


@pytest.fixture
def items() -> dict[str, Tensor]:
    return {**tensors(3), "world_tokens": torch.randn((3, *TOKENS), generator=generator(1))}


def test_paligemma_has_the_published_number_of_parameters(full: PaliGemmaPolicy) -> None:
    # Keras Hub's preset pali_gemma2_mix_3b_224: 3,032,094,960 with 257,152 rows of words. The weights on Hugging Face,
    # which are loaded here, have 64 rows more, as padding (vocab_size 257,216 of their config.json).
    keras, rows, width = 3_032_094_960, 64, 2304
    assert count(full.prefix.backbone) == keras + rows * width


def test_the_language_model_has_the_published_number_of_parameters(full: PaliGemmaPolicy) -> None:
    # Gemma 2 report (2408.00118), table 2, the 2B model: 2,024,517,888 besides the embedding, and 590,118,912 in the
    # embedding's 256,128 rows; PaliGemma-2 has 1,024 rows for locations and 64 for padding besides.
    language = full.prefix.backbone.model.language_model
    assert count(language) - count(language.embed_tokens) == 2_024_517_888
    assert count(language.embed_tokens) == 590_118_912 + (1024 + 64) * 2304
    assert full.prefix.backbone.lm_head.weight is language.embed_tokens.weight


def test_the_vision_tower_has_the_published_number_of_parameters(full: PaliGemmaPolicy) -> None:
    # Keras Hub's preset pali_gemma_3b_224 (the first PaliGemma has the same tower, SigLIP-So400m/14): 2,923,335,408,
    # less Gemma 2B (2,506,172,416 in its model card's weights, with 256,000 rows of 2,048; PaliGemma has 257,152),
    # less the projection from 1,152 to 2,048.
    gemma = 2_506_172_416 + 1152 * 2048
    tower = count(full.prefix.backbone.model.vision_tower)
    assert tower == 2_923_335_408 - gemma - (1152 + 1) * 2048
    assert round(tower / 1e8) == 4  # "So400m"
    assert count(full.prefix.backbone.model.multi_modal_projector) == (1152 + 1) * 2304


def test_the_expert_has_the_numbers_of_gigabrain(full: PaliGemmaPolicy) -> None:
    # No total is published; its widths are (giga-models, modeling_giga_brain_0.py: hidden 1024, ffn 2048, 26 layers, 8
    # heads of 256 with 4 for keys and values, adaRMS before attention, before the ffn and at the end).
    attention = 2 * 1024 * 8 * 256 + 2 * 1024 * 4 * 256
    norm = (1024 + 1) * 3 * 1024
    time = 2 * (1024 + 1) * 1024
    assert count(full.expert) == 26 * (attention + 3 * 1024 * 2048 + 2 * norm) + norm + time == 496_141_312


def test_at_the_numbers_of_pi0_the_expert_has_its_published_size() -> None:
    # openpi, models/gemma.py, variant gemma_300m: "311M params", without adaRMS and without projections.
    with torch.device("meta"):
        expert = GemmaExpert(replace(PaliGemmaConfig(), layers=18, ffn=4096, key_value_heads=1))
    matrices = sum(p.numel() for name, p in expert.layers.named_parameters() if "norm" not in name)
    assert round(matrices / 1e6) == 311


def test_what_is_new_beside_them_is_small(full: PaliGemmaPolicy) -> None:
    projections = 2 * (32 + 1) * 1024 + (1024 + 1) * 32 + 3 * 1024
    future = (192 + 1) * 2304 + (2304 + 1) * 2304 + 392 * 2304
    assert count(full) == count(full.prefix.backbone) + count(full.expert) + projections + future


def test_it_acts_like_the_small_policy(tiny: PaliGemmaPolicy, items: dict[str, Tensor]) -> None:
    indicator = torch.tensor([1, 0, UNLABELLED])
    first, again = (tiny.act(items, items["world_tokens"], indicator, generator=generator(2)) for _ in range(2))
    assert first.shape == (3, 4, 2)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)


def test_hidden_world_tokens_are_as_good_as_absent(tiny: PaliGemmaPolicy, items: dict[str, Tensor]) -> None:
    """The mask makes one set of weights serve both modes."""
    x, tau, indicator = torch.randn(3, 4, 2), torch.rand(3), torch.ones(3, dtype=torch.int64)
    absent = tiny(x, tau, tiny.observe(items, None, indicator))
    shown = torch.tensor([False, True, False])
    masked = tiny(x, tau, tiny.observe(items, items["world_tokens"], indicator, world_visible=shown))
    torch.testing.assert_close(masked[~shown], absent[~shown], rtol=0, atol=1e-5)
    assert not torch.allclose(masked[shown], absent[shown], atol=1e-4)


def test_what_is_hidden_cannot_be_read_from_its_content(tiny: PaliGemmaPolicy, items: dict[str, Tensor]) -> None:
    x, tau, indicator = torch.randn(3, 4, 2), torch.rand(3), torch.ones(3, dtype=torch.int64)
    hidden = torch.zeros(3, dtype=torch.bool)
    one, two = (
        tiny(x, tau, tiny.observe(items, tokens, indicator, world_visible=hidden))
        for tokens in (items["world_tokens"], 100.0 * items["world_tokens"])
    )
    assert torch.equal(one, two)


def test_padding_behind_an_instruction_changes_nothing(tiny: PaliGemmaPolicy, items: dict[str, Tensor]) -> None:
    x, tau, indicator = torch.randn(3, 4, 2), torch.rand(3), torch.ones(3, dtype=torch.int64)
    longer = {**items, "words": nn.functional.pad(items["words"], (0, 3))}
    one, two = (tiny(x, tau, tiny.observe(i, i["world_tokens"], indicator)) for i in (items, longer))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


def test_turned_by_their_positions_two_vectors_meet_at_an_angle_of_their_distance() -> None:
    """<R_p q, R_r k> depends on p - r alone, position 0 turns nothing, and (1, 0) at position 1 is (cos 1, sin 1)."""
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generator(7)).double()
    near, far = ((turned(query, first) * turned(key, second)).sum().item() for first, second in ((5, 3), (105, 103)))
    assert near == pytest.approx(far, abs=1e-3)
    assert torch.equal(turned(query, 0), query)
    assert turned(torch.tensor([[[[1.0, 0.0]]]]), 1).flatten().tolist() == pytest.approx([0.5403023, 0.8414710])


def turned(x: Tensor, position: int) -> Tensor:
    return turn(x, rotation(torch.tensor([[position]]), x.shape[-1]))


@pytest.mark.parametrize("name", ["images", "proprio", "words", "indicator", "world_tokens"])
def test_everything_observed_reaches_the_action(tiny: PaliGemmaPolicy, items: dict[str, Tensor], name: str) -> None:
    x, tau = torch.randn(3, 4, 2), torch.rand(3)
    items = {**items, "indicator": torch.tensor([0, 1, 0])}
    changed = {**items, name: 1 - items[name] if name == "indicator" else items[name].flip(-1) + 1}
    base, other = (tiny(x, tau, tiny.observe(one, one["world_tokens"], one["indicator"])) for one in (items, changed))
    assert not torch.allclose(base, other, atol=1e-6)


def test_with_published_weights_it_reads_the_prompt_and_no_hashed_words(items: dict[str, Tensor]) -> None:
    model = policy(replace(TINY, weights="/models/paligemma2")).eval()
    x, tau, indicator = torch.randn(3, 4, 2), torch.rand(3), torch.ones(3, dtype=torch.int64)
    items = {**items, "prompt": torch.tensor([[2, 515, 0]] * 3)}
    base, words, prompt = (
        model(x, tau, model.observe({**items, **change}, None, indicator))
        for change in ({}, {"words": items["words"] + 1}, {"prompt": items["prompt"].clamp(max=514)})
    )
    assert torch.equal(base, words)
    assert not torch.allclose(base, prompt, atol=1e-6)


def test_the_indicator_reaches_the_action_and_not_the_prefix(tiny: PaliGemmaPolicy, items: dict[str, Tensor]) -> None:
    good, bad = (tiny.observe(items, None, torch.full((3,), value)) for value in (1, 0))
    assert all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(good.prefix, bad.prefix, strict=True)
    )


def test_guidance_goes_past_the_conditioned_velocity(items: dict[str, Tensor]) -> None:
    """With one Euler step the chunk is start + f(.) + beta (f(I) - f(.)): linear in beta."""
    indicator = torch.ones(3, dtype=torch.int64)
    chunks = []
    for beta in (0.5, 1.0, 2.0):
        model = policy(replace(TINY, guidance=beta, ode_steps=1)).eval()
        chunks.append(model.act(items, None, indicator, generator=generator(3)))
    torch.testing.assert_close(chunks[2] - chunks[1], 2.0 * (chunks[1] - chunks[0]), rtol=1e-3, atol=1e-5)


def gradients(alpha: float, items: dict[str, Tensor]) -> dict[str, Tensor | None]:
    model = policy(replace(TINY, insulation=alpha, shift=0, mask_world=0.0)).train()
    loss, _ = RampAlgorithm().loss(model, items, generator=generator(4))
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def in_prefix(name: str) -> bool:
    return name.startswith(("prefix.", "future.", "place"))


def test_insulation_scales_the_gradient_into_the_backbone_and_no_other(items: dict[str, Tensor]) -> None:
    free, soft, hard = (gradients(alpha, items) for alpha in (1.0, 0.1, 0.0))
    reached = [name for name, gradient in free.items() if gradient is not None and float(gradient.abs().max()) > 0.0]
    assert {name.split(".")[0] for name in reached} >= {"prefix", "future", "place", "expert", "state", "action", "out"}
    last = "prefix.backbone.model.language_model.layers.1.self_attn."
    assert {last + "k_proj.weight", last + "v_proj.weight"} <= set(reached)  # nothing but the expert reads these
    for name in reached:
        share = 0.1 if in_prefix(name) else 1.0
        torch.testing.assert_close(soft[name], share * free[name], rtol=1e-3, atol=1e-7, msg=name)
        if in_prefix(name):
            assert hard[name] is None or not hard[name].any(), name
        else:
            torch.testing.assert_close(hard[name], free[name], msg=name)


def test_words_train_the_backbone_however_hard_it_is_insulated(items: dict[str, Tensor]) -> None:
    model = policy(replace(TINY, insulation=0.0)).train()
    context = model.observe(items, None, items["indicator"])
    written = torch.randint(1, 520, (3, 5), generator=generator(5))
    logits = model.prefix.write(written, context.prefix, context.visible)
    assert logits.shape == (3, 5, 520)
    nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), written[:, 1:]).backward()
    assert float(model.prefix.backbone.model.language_model.layers[0].self_attn.k_proj.weight.grad.abs().max()) > 0.0
    assert float(model.prefix.backbone.model.multi_modal_projector.linear.weight.grad.abs().max()) > 0.0
    assert all(parameter.grad is None for parameter in model.expert.parameters())


def test_recomputed_layers_give_the_same_gradients(items: dict[str, Tensor]) -> None:
    kept, recomputed = (
        {name: parameter.grad for name, parameter in model.named_parameters()}
        for model in (trained(replace(TINY, checkpointing=flag), items) for flag in (False, True))
    )
    for name, gradient in kept.items():
        if gradient is not None:
            torch.testing.assert_close(recomputed[name], gradient, msg=name)


def trained(config: PaliGemmaConfig, items: dict[str, Tensor]) -> PaliGemmaPolicy:
    model = policy(config).train()
    context = model.observe(items, items["world_tokens"], items["indicator"])
    velocity = model(torch.ones(3, 4, 2), torch.full((3,), 0.5), context)
    logits = model.prefix.write(torch.ones(3, 2, dtype=torch.int64), context.prefix, context.visible)
    (velocity.square().mean() + logits.square().mean()).backward()
    return model


def test_a_prefix_and_the_words_behind_it_agree_with_transformers(
    tiny: PaliGemmaPolicy, items: dict[str, Tensor]
) -> None:
    """Our run through the layers against the library's: pictures and instruction seen both ways, words causally."""
    written = torch.randint(1, 500, (3, 4), generator=generator(6))
    instruction = items["words"][:, :2].clamp(min=1)
    context = tiny.observe({**items, "words": instruction}, None, items["indicator"])
    ours = tiny.prefix.write(written, context.prefix, context.visible)

    backbone, patches = tiny.prefix.backbone, 2 * 2 * 2  # two cameras of two by two patches
    pictures = torch.full((3, patches), backbone.config.image_token_id)
    theirs = backbone(
        input_ids=torch.cat([pictures, instruction, written], dim=1),
        pixel_values=letterbox(items["images"], 28),
        token_type_ids=torch.cat([torch.zeros(3, patches + 2), torch.ones(3, 4)], dim=1).long(),
    ).logits[:, -4:]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_each_robot_has_projections_of_its_own(items: dict[str, Tensor]) -> None:
    model = policy(replace(TINY, embodiments=2)).eval()
    x, tau = torch.randn(3, 4, 2), torch.rand(3)
    first, second = (
        model(x, tau, model.observe({**items, "embodiment": torch.full((3,), robot)}, None, items["indicator"]))
        for robot in (0, 1)
    )
    mixed = {**items, "embodiment": torch.tensor([0, 1, 0])}
    both = model(x, tau, model.observe(mixed, None, items["indicator"]))
    torch.testing.assert_close(both, torch.stack([first[0], second[1], first[2]]))
    assert not torch.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "tokens", "why"),
    [
        (replace(TINY, slots=2), TOKENS, "proprio: width 3"),
        (replace(TINY, key_value_heads=3), TOKENS, "policy.heads"),
        (TINY, (5000, 10), "a prefix of 5056 tokens"),
    ],
)
def test_what_does_not_fit_together_is_refused(config: PaliGemmaConfig, tokens: tuple[int, int], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        PaliGemmaPolicy(config, SCHEMA, tokens)


def test_tokens_of_another_world_model_are_refused(tiny: PaliGemmaPolicy, items: dict[str, Tensor]) -> None:
    with pytest.raises(Invalid, match="world_tokens"):
        tiny.observe(items, items["world_tokens"][:, :5], items["indicator"])


@pytest.fixture(scope="module")
def folder(tiny: PaliGemmaPolicy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("paligemma")
    tiny.prefix.backbone.save_pretrained(path)
    return path


def test_a_folder_of_weights_gives_the_same_backbone(tiny: PaliGemmaPolicy, folder: Path) -> None:
    loaded = PaliGemmaPolicy.from_folder(folder, TINY, SCHEMA, TOKENS, dtype=torch.float32)
    own, other = tiny.prefix.backbone.state_dict(), loaded.prefix.backbone.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.parametrize("whole", [False, True], ids=["the backbone", "all of it"])
def test_in_bfloat16_it_trains_and_answers_in_float32(folder: Path, items: dict[str, Tensor], whole: bool) -> None:
    model = PaliGemmaPolicy.from_folder(folder, TINY, SCHEMA, TOKENS)
    model = model.to(torch.bfloat16) if whole else model
    assert model.prefix.dtype == torch.bfloat16
    loss, _ = RampAlgorithm().loss(model, items, generator=generator())
    loss.backward()
    assert torch.isfinite(loss)
    chunk = model.eval().act(items, items["world_tokens"], items["indicator"], generator=generator())
    assert chunk.dtype == torch.float32
    assert torch.isfinite(chunk).all()


def test_without_a_folder_the_weights_are_random() -> None:
    one, two = (PaliGemmaPolicy.from_folder(None, TINY, SCHEMA, TOKENS) for _ in range(2))
    assert not torch.equal(one.prefix.backbone.lm_head.weight, two.prefix.backbone.lm_head.weight)


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        (None, "model_type", "llava", "weights.model_type: llava"),
        ("text_config", "model_type", "gemma", "weights.model_type: gemma"),
        ("text_config", "num_hidden_layers", 3, "weights.text_config.num_hidden_layers: 3"),
        ("vision_config", "patch_size", 16, "weights.vision_config.patch_size: 16"),
    ],
)
def test_a_folder_of_another_architecture_is_refused_by_name(
    folder: Path, tmp_path: Path, part: str | None, name: str, value: object, said: str
) -> None:
    plain = json.loads((folder / "config.json").read_text())
    (plain if part is None else plain[part])[name] = value
    if name == "num_hidden_layers":
        plain["text_config"].pop("layer_types", None)
    (tmp_path / "config.json").write_text(json.dumps(plain))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(Invalid, match=said):
        PaliGemmaPolicy.from_folder(tmp_path, TINY, SCHEMA, TOKENS)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"config\.json does not exist"):
        PaliGemmaPolicy.from_folder(tmp_path, TINY, SCHEMA, TOKENS)


def test_missing_tensors_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    held = load_file(folder / "model.safetensors")
    name = next(name for name in held if "q_proj" in name)
    held.pop(name)
    save_file(held, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Invalid, match=r"q_proj.*missing"):
        PaliGemmaPolicy.from_folder(tmp_path, TINY, SCHEMA, TOKENS)
