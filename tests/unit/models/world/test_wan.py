"""The full world model: parameter counts on the meta device, the same interface as the small one, local weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ramp.algorithms.world_model import WorldModelAlgorithm
from ramp.errors import Invalid, NotFound
from ramp.models.world import WanConfig, WanWorldModel
from ramp.models.world.wan_predictor import token_times
from ramp.models.world.wan_tokenizer import statistics
from ramp.types import StepSchema
from tests.unit.models.samples import SCHEMA, generator, tensors

TINY = WanConfig(horizons=(4, 8), width=24, layers=2, heads=2, ffn=16, text_width=8, encoder_width=4, decoder_width=4)
ROBOT = StepSchema(
    cameras=dict.fromkeys(("left", "right"), (224, 224, 3)),
    proprio_width=14,
    action_low=(-1.0,) * 14,
    action_high=(1.0,) * 14,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def full() -> WanWorldModel:
    with torch.device("meta"):
        return WanWorldModel(WanConfig(), ROBOT)


@pytest.fixture(scope="module")
def tiny() -> WanWorldModel:
    torch.manual_seed(0)
    return WanWorldModel(TINY, SCHEMA)


def test_the_transformer_has_the_published_number_of_parameters(full: WanWorldModel) -> None:
    # total_size of transformer/diffusion_pytorch_model.safetensors.index.json of Wan-AI/Wan2.2-TI2V-5B, float32.
    published_bytes = 19_999_150_848
    assert count(full.predictor.transformer) == published_bytes // 4 == 4_999_787_712
    assert len(list(full.predictor.transformer.parameters())) == 825


def test_the_autoencoder_has_the_published_number_of_parameters(full: WanWorldModel) -> None:
    # Wan2.2_VAE.pth of Wan-AI/Wan2.2-TI2V-5B: 2,818,839,170 bytes, float32 and a table of contents below 0.01 %.
    published_bytes = 2_818_839_170
    weights = 4 * count(full.tokenizer)
    assert 0 < published_bytes - weights < 1e-4 * published_bytes
    assert count(full.tokenizer) == 704_688_668


def test_only_word_vectors_are_added_to_the_published_networks(full: WanWorldModel) -> None:
    added = count(full) - count(full.tokenizer) - count(full.predictor.transformer)
    assert added == full.predictor.words.weight.numel() == 512 * 4096


def test_tokens_are_those_of_wan_a_patch_of_two_by_two_cells_of_sixteen_pixels(full: WanWorldModel) -> None:
    views, horizons, patches, width = 2, 4, (224 // 32) ** 2, 48 * 2 * 2
    assert full.token_shape == (views * horizons * patches, width)


def test_known_frames_are_clean_and_noisy_ones_are_at_their_own_time() -> None:
    times = token_times(torch.tensor([0.0, 0.75]), known=2, noisy=1, tokens=2)
    assert times.tolist() == [[0.0, 0.0, 0.0, 0.0, 1000.0, 1000.0], [0.0, 0.0, 0.0, 0.0, 250.0, 250.0]]


def test_frames_of_tokens_become_a_video_and_come_back(tiny: WanWorldModel) -> None:
    frames = torch.randn(2, 3, tiny.layout.tokens, tiny.layout.width)
    video = tiny.predictor.to_video(frames)
    assert video.shape == (2, 48, 3, *tiny.predictor.grid)
    assert torch.equal(tiny.predictor.to_tokens(video), frames)


def test_a_prediction_has_the_small_models_shapes_and_ranges(tiny: WanWorldModel) -> None:
    prediction = tiny.predict(tensors(3), generator=generator())
    assert prediction.tokens.shape == (3, *tiny.token_shape)
    assert prediction.tokens.dtype == torch.float32
    assert prediction.remaining.shape == (3, 2)
    assert float(prediction.remaining.min()) >= 0.0
    assert float(prediction.remaining.max()) <= 1.0


def test_one_step_from_pure_noise_subtracts_what_wan_answers(tiny: WanWorldModel) -> None:
    """Wan answers eps - x. At tau = 0, x = s - (eps - x); nearer to the data a smaller share of it."""
    known = 1 + 2  # proprioception and two cameras
    constant = torch.full((1, 48, known + tiny.layout.frames, *tiny.predictor.grid), 0.5)
    constant[:, :, :known] = 9.0  # what it says of known frames is nobody's business
    present = torch.zeros(1, 2, tiny.layout.tokens, tiny.layout.width)
    s = torch.randn(1, tiny.layout.frames, tiny.layout.tokens, tiny.layout.width)
    answer = Answer(constant)
    real, tiny.predictor.transformer = tiny.predictor.transformer, answer
    try:
        for tau in (0.0, 0.75):
            words = torch.ones(1, 2, dtype=torch.int64)
            clean = tiny.predictor(s, torch.tensor([tau]), present, torch.zeros(1, 3), words)
            torch.testing.assert_close(clean, s - (1.0 - tau) * 0.5)
            first = known * tiny.layout.tokens
            assert float(answer.time[:, :first].max()) == 0.0
            assert answer.time[:, first:].unique().tolist() == [1000.0 * (1.0 - tau)]
    finally:
        tiny.predictor.transformer = real


class Answer(nn.Module):
    """A transformer that always answers the same."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value, self.patch_embedding = value, nn.Conv3d(1, 1, 1)

    def forward(self, video: Tensor, time: Tensor, text: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        assert video.shape == self.value.shape
        self.time = time
        return (self.value,)


def test_the_small_models_loss_trains_it_and_leaves_the_tokenizer_alone(tiny: WanWorldModel) -> None:
    tiny.train()
    tiny.train_only("predictor")
    loss, report = WorldModelAlgorithm().loss(tiny, tensors(2), generator=generator())
    loss.backward()
    assert torch.isfinite(loss)
    assert set(report) == {"visual", "proprio", "value"}
    assert all(parameter.grad is not None for parameter in tiny.predictor.parameters())
    assert all(parameter.grad is None for parameter in tiny.tokenizer.parameters())
    assert not tiny.tokenizer.autoencoder.training


def test_the_tokenizer_is_not_trained_at_full_size(tiny: WanWorldModel) -> None:
    with pytest.raises(Invalid, match="stays as published"):
        tiny.train_only("tokenizer")


def test_instruction_proprioception_and_pictures_reach_the_prediction(tiny: WanWorldModel) -> None:
    tiny.eval()
    items = {name: tensor for name, tensor in tensors(1).items() if name in ("images", "proprio", "words")}
    base = tiny.predict(items, generator=generator())
    for name in items:
        changed = {**items, name: items[name].flip(-1) + 1}
        other = tiny.predict(changed, generator=generator())
        assert not torch.equal(other.tokens, base.tokens), name


def test_where_there_is_no_word_there_is_no_vector(tiny: WanWorldModel) -> None:
    vectors = tiny.predictor.read(torch.tensor([[3, 0]]))
    assert bool(vectors[0, 0].any())
    assert not bool(vectors[0, 1].any())


def test_latents_are_standardised_by_the_published_statistics(tiny: WanWorldModel) -> None:
    frames = torch.rand(1, 3, 32, 32) * 2 - 1
    mode = tiny.tokenizer.autoencoder.encode(frames[:, :, None]).latent_dist.mode()[:, :, 0]
    mean, deviation = statistics(mode)
    torch.testing.assert_close(tiny.tokenizer.encode(frames) * deviation + mean, mode)
    assert (float(mean[0, 0]), float(deviation[0, 47])) == pytest.approx((-0.2289, 0.7744))
    assert tiny.tokenizer.reconstruct(tiny.tokenizer.encode(frames)).shape == frames.shape


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"latent_channels": 16}, "world.latent_channels"), ({"heads": 5}, "world.width"), ({"horizons": ()}, "horizons")],
)
def test_numbers_that_do_not_fit_together_are_refused(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid, match=field):
        WanWorldModel(replace(TINY, **wrong), SCHEMA)


@pytest.fixture(scope="module")
def folder(tiny: WanWorldModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wan")
    tiny.predictor.transformer.save_pretrained(path / "transformer")
    tiny.tokenizer.autoencoder.save_pretrained(path / "vae")
    return path


def test_a_folder_of_weights_gives_the_same_model(tiny: WanWorldModel, folder: Path) -> None:
    loaded = WanWorldModel.from_folder(folder, TINY, SCHEMA, dtype=torch.float32)
    for part in ("predictor.transformer", "tokenizer"):
        own, other = tiny.get_submodule(part).state_dict(), loaded.get_submodule(part).state_dict()
        assert own.keys() == other.keys()
        assert all(torch.equal(own[name], other[name]) for name in own)


def test_published_weights_in_bfloat16_train_and_answer_in_float32(folder: Path) -> None:
    loaded = WanWorldModel.from_folder(folder, TINY, SCHEMA).train()
    assert loaded.predictor.dtype == loaded.tokenizer.autoencoder.dtype == torch.bfloat16
    loss, _ = WorldModelAlgorithm().loss(loaded, tensors(2), generator=generator())
    loss.backward()
    assert torch.isfinite(loss)
    assert loaded.predict(tensors(2), generator=generator()).tokens.dtype == torch.float32


def test_without_a_folder_the_weights_are_random() -> None:
    one, two = (WanWorldModel.from_folder(None, TINY, SCHEMA) for _ in range(2))
    weight = "predictor.transformer.proj_out.weight"
    assert not torch.equal(one.state_dict()[weight], two.state_dict()[weight])


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("transformer", "num_layers", 3), ("vae", "z_dim", 16), ("transformer", "_class_name", "FluxTransformer2DModel")],
)
def test_a_folder_of_another_architecture_is_refused_by_name(
    folder: Path, tmp_path: Path, part: str, name: str, value: object
) -> None:
    for other in ("transformer", "vae"):
        (tmp_path / other).mkdir()
        plain = json.loads((folder / other / "config.json").read_text())
        changed = {**plain, name: value} if other == part else plain
        (tmp_path / other / "config.json").write_text(json.dumps(changed))
        weights = "diffusion_pytorch_model.safetensors"
        (tmp_path / other / weights).symlink_to(folder / other / weights)
    with pytest.raises(Invalid, match=f"weights.{name}.*another architecture"):
        WanWorldModel.from_folder(tmp_path, TINY, SCHEMA)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"config\.json does not exist"):
        WanWorldModel.from_folder(tmp_path, TINY, SCHEMA)


def test_missing_tensors_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = "diffusion_pytorch_model.safetensors"
    (tmp_path / "vae").symlink_to(folder / "vae")
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text((folder / "transformer" / "config.json").read_text())
    held = load_file(folder / "transformer" / weights)
    held.pop("proj_out.bias")
    save_file(held, tmp_path / "transformer" / weights, metadata={"format": "pt"})
    with pytest.raises(Invalid, match=r"proj_out\.bias.*missing"):
        WanWorldModel.from_folder(tmp_path, TINY, SCHEMA)
