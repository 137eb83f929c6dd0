"""The full-size models through the learner's stages, over its death, with weights from folders, and on to an actor."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers

from ramp.algorithms import RampAlgorithm, WorldModelAlgorithm
from ramp.data.normalize import Normalizer
from ramp.envs import make_env
from ramp.errors import Invalid, NotFound
from ramp.models.build import check_start, new_policy, new_world
from ramp.models.vla import PaliGemmaPolicy
from ramp.models.vla.instructions import TOKENIZER
from ramp.models.world import WanWorldModel
from ramp.types import Kind
from services.actor.agents import Agents
from services.clients.registry import DirectoryRegistry
from services.common.settings import Settings, compose
from services.learner.engine import Engine
from services.learner.loop import Learner
from services.learner.precision import in_bfloat16, published
from services.learner.progress import DONE, Basis
from services.learner.published import observations
from services.learner.trainer import POLICY, PREDICTOR, Trainer
from tests.shrunk import SHRUNK
from tests.unit.models.samples import tensors
from tests.unit.services.learner.near import NearReplay, context, filled_replay

WORDS = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "count": 510, "up": 511, "down": 512, "\n": 513}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def full_settings(folder: Path, *overrides: str) -> Settings:
    return compose("full", None, [f"dir={folder}", *SHRUNK, *overrides])


def registry(settings: Settings) -> DirectoryRegistry:
    return DirectoryRegistry(Path(settings.dir) / "registry")


def act(settings: Settings, replay: NearReplay) -> np.ndarray:
    """A chunk by the final policy, as an actor asks for it."""
    env = make_env(settings.tasks[0], settings.env)
    agent = Agents(registry(settings), alias="final").get(0, env.schema)
    seen = observations(replay.fetch(replay.query()[0].episode_id), slice(0, 1))[0]
    return agent.decide(seen, generator=torch.Generator().manual_seed(0)).chunk


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Weights of both models as they are published, of the shrunken sizes."""
    settings, home = full_settings(Path("unused")), tmp_path_factory.mktemp("published")
    schema = make_env("count-up", settings.env).schema
    torch.manual_seed(7)
    world = new_world(settings.world, schema)
    policy = new_policy(settings.policy, schema, world.token_shape)
    assert isinstance(world, WanWorldModel)
    assert isinstance(policy, PaliGemmaPolicy)
    world.predictor.transformer.save_pretrained(home / "wan" / "transformer")
    world.tokenizer.autoencoder.save_pretrained(home / "wan" / "vae")
    policy.prefix.backbone.save_pretrained(home / "paligemma")
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer.save(str(home / "paligemma" / TOKENIZER))
    return home / "paligemma", home / "wan"


def test_random_weights_pass_all_stages_and_an_actor_acts_with_them(tmp_path: Path) -> None:
    settings = full_settings(tmp_path)
    replay = filled_replay(settings)
    learner = Learner(context(settings, replay))
    learner.run()

    assert learner.progress.stage == DONE
    assert all(table.labelled == 1.0 for table in replay.info().tables if table.items)
    policy, manifest = registry(settings).load(Kind.POLICY, "final")
    _, world = registry(settings).load(Kind.WORLD, manifest["world_version"])
    assert (manifest["architecture"], world["architecture"]) == ("paligemma2", "wan2.2")
    assert {tensor.dtype for tensor in policy.values()} == {torch.bfloat16}
    language = "prefix.backbone.model.language_model.embed_tokens.weight"
    assert torch.equal(policy["prefix.backbone.lm_head.weight"], policy[language]), "one weight with two names"
    chunk = act(settings, replay)
    assert chunk.shape == (4, 2)
    assert np.isfinite(chunk).all()
    replay.close()


def test_the_language_model_learns_to_think_on_the_way(tmp_path: Path) -> None:
    thinking = ("thought=true", "text_vocabulary=300", "action_vocabulary=140", "vocabulary=1024", "track_stride=2")
    settings = full_settings(tmp_path, *(f"policy.{each}" for each in thinking))
    replay = filled_replay(settings)
    learner = Learner(context(settings, replay))
    learner.run()

    assert learner.progress.stage == DONE
    env = make_env(settings.tasks[0], settings.env)
    agent = Agents(registry(settings), alias="final").get(0, env.schema)
    assert agent.thoughts is not None, "its manifest says what its ids mean"
    policy, _ = registry(settings).load(Kind.POLICY, "final")
    assert {name.split(".")[1] for name in policy if name.startswith("thought.")} == {"points", "gru", "out"}
    assert np.isfinite(act(settings, replay)).all()
    replay.close()


def test_published_weights_are_read_at_the_start_and_their_tokenizer_goes_with_the_policy(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    paligemma, wan = (shutil.copytree(folder, tmp_path / folder.name) for folder in folders)
    settings = full_settings(tmp_path / "run", f"policy.weights={paligemma}", f"world.weights={wan}")
    check_start(settings.policy, settings.world)
    replay = filled_replay(settings)
    Learner(context(settings, replay)).run()
    shutil.rmtree(paligemma)
    shutil.rmtree(wan)

    assert registry(settings).file(Kind.POLICY, "final", TOKENIZER) == (folders[0] / TOKENIZER).read_bytes()
    assert np.isfinite(act(settings, replay)).all()
    Learner(context(settings, replay)).run()  # the last checkpoint has all: the folders are not asked for any more
    replay.close()


def test_a_run_begins_with_the_weights_of_its_folders(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    paligemma, wan = folders
    settings = full_settings(tmp_path, f"policy.weights={paligemma}", f"world.weights={wan}")
    trainer = Trainer(settings, basis(settings), {})

    language = load_file(paligemma / "model.safetensors")
    name = "layers.1.mlp.up_proj.weight"
    (theirs,) = (tensor for key, tensor in language.items() if key.endswith(name))
    (own,) = (tensor for key, tensor in trainer.policy.state_dict().items() if key.endswith(f"language_model.{name}"))
    assert torch.equal(own, theirs)
    transformer = load_file(wan / "transformer" / "diffusion_pytorch_model.safetensors")
    weights = trainer.world.state_dict()
    assert torch.equal(weights["predictor.transformer.proj_out.weight"], transformer["proj_out.weight"])
    assert all(parameter.dtype == torch.float32 for parameter in trainer.policy.parameters())


def test_what_a_checkpoint_holds_is_not_read_from_its_folder(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    settings = full_settings(tmp_path, f"policy.weights={folders[0]}", "world.weights=/nowhere")
    with pytest.raises(NotFound, match="/nowhere"):
        Trainer(settings, basis(settings), {})
    Trainer(settings, basis(settings), {PREDICTOR: {}})


@pytest.mark.parametrize("stage", [0, 1])
def test_both_models_train_in_bfloat16_with_recomputed_layers(tmp_path: Path, stage: int) -> None:
    """What a GPU is given, computed here: the engine's settings do not depend on where it stands."""
    settings = full_settings(tmp_path, f"learner.zero_stage={stage}")
    trainer, items = Trainer(settings, basis(settings), {}), tensors(4)
    assert settings.policy.checkpointing
    assert settings.world.checkpointing
    trainer.world.train_only("predictor")
    items["world_tokens"] = torch.randn(4, *trainer.world.token_shape)
    for name, model, algorithm in (
        (PREDICTOR, trainer.world, WorldModelAlgorithm()),
        (POLICY, trainer.policy, RampAlgorithm()),
    ):
        engine = Engine(model, replace(trainer._plan(name), bfloat16=True))
        before = engine.weights()
        for _ in range(2):
            loss, _ = engine.loss(algorithm, items, generator=torch.Generator())
            assert loss.dtype == torch.float32
            assert engine.step(loss)
        after = engine.weights()
        assert any(not torch.equal(before[key], after[key]) for key in before)
        assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("tokenizer."))
        engine.close()


def test_published_weights_have_the_precision_of_the_settings() -> None:
    weights = {"a": torch.tensor([1.001]), "count": torch.tensor([3])}
    assert published(weights, "float32") is weights
    stored = published(weights, "bfloat16")
    assert (stored["a"].dtype, float(stored["a"]), stored["count"].dtype) == (torch.bfloat16, 1.0, torch.int64)


def test_bfloat16_is_for_gpus() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    asked = [(precision, device) for precision in ("float32", "bfloat16") for device in (cpu, gpu)]
    assert [in_bfloat16(*each) for each in asked] == [False, False, False, True]


def basis(settings: Settings) -> Basis:
    schema, random = make_env("count-up", settings.env).schema, np.random.default_rng(0)
    samples = (random.random((9, width)) for width in (schema.proprio_width, schema.action_width))
    return Basis(schema=schema, normalizer=Normalizer.fit(*samples))


@pytest.mark.parametrize(
    ("field", "spoil", "said"),
    [
        ("policy.weights", lambda paligemma, wan: shutil.rmtree(paligemma), "config.json does not exist"),
        ("policy.weights", lambda paligemma, wan: (paligemma / TOKENIZER).unlink(), "tokenizer.json does not exist"),
        ("policy.weights", lambda paligemma, wan: (paligemma / TOKENIZER).write_text("{"), "cannot be read"),
        ("policy.weights", lambda paligemma, wan: (paligemma / "model.safetensors").unlink(), "no *.safetensors"),
        ("policy.weights", lambda paligemma, wan: change(paligemma, model_type="llava"), "needs paligemma"),
        ("world.weights", lambda paligemma, wan: shutil.rmtree(wan / "vae"), "config.json does not exist"),
        ("world.weights", lambda paligemma, wan: change(wan / "transformer", num_layers=3), "this model needs 2"),
    ],
)
def test_a_folder_that_a_run_could_not_begin_with_is_refused_before_anything_starts(
    tmp_path: Path, folders: tuple[Path, Path], field: str, spoil: Callable[[Path, Path], object], said: str
) -> None:
    paligemma, wan = (shutil.copytree(folder, tmp_path / folder.name) for folder in folders)
    settings = full_settings(tmp_path / "run", f"policy.weights={paligemma}", f"world.weights={wan}")
    check_start(settings.policy, settings.world)
    spoil(paligemma, wan)
    with pytest.raises(Invalid) as refused:
        check_start(settings.policy, settings.world)
    assert refused.value.field == field
    assert said in refused.value.remedy


def change(folder: Path, **values: object) -> None:
    plain = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**plain, **values}))
