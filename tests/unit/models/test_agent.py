"""From registry parts to decisions in robot units."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from ramp.data.thoughts import ACT, END
from ramp.errors import Invalid
from ramp.models.agent import Agent
from ramp.models.build import instructions
from ramp.models.manifest import (
    check_architecture,
    load_policy,
    load_weights,
    policy_manifest,
    schema_dict,
    schema_from,
    weights,
    world_manifest,
)
from ramp.models.vla import PaliGemmaConfig, Told
from ramp.models.vla.thought import thought_size
from ramp.types import NEGATIVE, POSITIVE, UNLABELLED
from tests.unit.models.samples import POLICY, SCHEMA, generator, normalizer, observation, policy, world
from tests.unit.models.thinking import TEXTS, thinker, vocabulary


def agent(*, efficient: bool = False) -> Agent:
    p, w, n = policy(), world(), normalizer()
    manifests = [json.loads(json.dumps(m)) for m in (policy_manifest(p, n, Told()), world_manifest(w, n))]
    return Agent.from_registry_parts(weights(p), manifests[0], weights(w), manifests[1], version=3, efficient=efficient)


def test_an_agent_survives_the_road_through_a_registry_unchanged() -> None:
    here = Agent(policy(), world(), normalizer())
    there = agent()
    assert there.version == 3
    one, two = (a.decide(observation(), generator=generator(1)) for a in (here, there))
    assert np.array_equal(one.chunk, two.chunk)
    assert one.remaining == two.remaining


def test_a_decision_is_a_chunk_within_the_bounds_and_a_remaining_time() -> None:
    decision = agent().decide(observation(), generator=generator())
    assert decision.chunk.shape == (POLICY.chunk, 2)
    assert decision.chunk.dtype == np.float32
    assert np.abs(decision.chunk).max() <= 1.0
    assert 0.0 <= decision.remaining <= 1.0


def test_decisions_are_fixed_by_the_generator() -> None:
    robot = agent()
    chunks = [robot.decide(observation(), generator=generator(seed)).chunk for seed in (1, 1, 2)]
    assert np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])


def test_the_indicator_that_it_is_told_changes_what_it_does() -> None:
    robot = agent()
    chunks = []
    for robot.indicator in (POSITIVE, NEGATIVE, UNLABELLED):
        chunks.append(robot.decide(observation(), generator=generator(1)).chunk)
    assert not np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])


def test_efficient_mode_never_runs_the_world_model_and_needs_none() -> None:
    robot = Agent(policy(), None, normalizer(), efficient=True)
    decision = robot.decide(observation(), generator=generator(1))
    assert math.isnan(decision.remaining)
    assert np.isfinite(decision.chunk).all()
    robot.efficient = False
    with pytest.raises(Invalid, match="without a world model"):
        robot.decide(observation(), generator=generator(1))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"images": {"front": np.zeros((32, 32, 3), np.uint8)}}, "images"),
        ({"images": {c: np.zeros((16, 32, 3), np.uint8) for c in ("front", "side")}}, "images.front"),
        ({"images": {c: np.zeros((32, 32, 3), np.float32) for c in ("front", "side")}}, "images.front"),
        ({"proprio": np.zeros(4, np.float32)}, "proprio"),
        ({"proprio": np.full(3, np.nan, np.float32)}, "proprio"),
    ],
)
def test_an_observation_of_another_schema_is_refused(change: dict, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        agent().decide(replace(observation(), **change), generator=generator())
    assert refused.value.field == field


def test_a_schema_survives_json() -> None:
    assert schema_from(json.loads(json.dumps(schema_dict(SCHEMA)))) == SCHEMA


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: t.pop("place"), "missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "no such tensor"),
        (lambda t: t.update(place=torch.zeros(1, 1)), "needs"),
        (lambda t: t["place"].fill_(float("nan")), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(spoil, said: str) -> None:
    tensors = weights(policy())
    spoil(tensors)
    with pytest.raises(Invalid, match=said):
        load_weights(policy(), tensors)


def test_a_manifest_without_its_fields_or_with_unknown_settings_is_refused() -> None:
    p, w, n = policy(), world(), normalizer()
    good = policy_manifest(p, n, Told())
    bad = {name: value for name, value in good.items() if name != "token_shape"}
    with pytest.raises(Invalid, match="no token_shape"):
        Agent.from_registry_parts(weights(p), bad, weights(w), world_manifest(w, n))
    bad = {**good, "config": {**good["config"], "depth": 3}}
    with pytest.raises(Invalid, match="depth"):
        Agent.from_registry_parts(weights(p), bad, weights(w), world_manifest(w, n))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "paligemma3"}, "manifest.architecture: paligemma3; this program knows paligemma2, small"),
        ({"architecture": "paligemma2"}, "policy.heads"),  # the numbers of a small one
        ({"config": asdict(PaliGemmaConfig())}, "manifest.config.checkpointing"),
    ],
)
def test_a_version_of_another_architecture_is_refused_by_name(change: dict[str, object], said: str) -> None:
    p, n = policy(), normalizer()
    with torch.device("meta"), pytest.raises(Invalid, match=said):
        load_policy(weights(p), {**policy_manifest(p, n, Told()), **change})
    with pytest.raises(Invalid, match="no architecture"):
        load_policy(weights(p), {"config": asdict(POLICY)})
    with pytest.raises(Invalid, match=r"manifest.architecture: small; these settings have paligemma2"):
        check_architecture(policy_manifest(p, n, Told()), PaliGemmaConfig())


def test_a_policy_that_began_with_published_weights_is_refused_without_their_tokenizer() -> None:
    with pytest.raises(Invalid, match=r"tokenizer.json: absent"):
        instructions(PaliGemmaConfig(weights="/models/paligemma2"), None)
    assert instructions(PaliGemmaConfig(), None) is None
    assert instructions(POLICY, None) is None


def test_a_policy_is_asked_as_it_was_trained() -> None:
    """What its manifest says it is told decides, and the value is there all the same."""
    p, w, n = policy(), world(), normalizer()
    plain = policy_manifest(p, n, Told(indicator=False, world=False))
    robot = Agent.from_registry_parts(weights(p), plain, weights(w), world_manifest(w, n))
    asked: list[tuple[object, list[int]]] = []
    act = robot.policy.act
    robot.policy.act = lambda t, tokens, i, **k: asked.append((tokens, i.tolist())) or act(t, tokens, i, **k)  # type: ignore
    decision = robot.decide(observation(), generator=generator(1))
    assert asked == [(None, [UNLABELLED])]
    assert 0.0 <= decision.remaining <= 1.0


def thinking_agent(seed: int = 0) -> Agent:
    p, w, n = thinker(seed), world(), normalizer()
    manifest = json.loads(json.dumps(policy_manifest(p, n, Told(), vocabulary())))
    return Agent.from_registry_parts(weights(p), manifest, weights(w), world_manifest(w, n))


def says(robot: Agent, tokens: np.ndarray) -> None:
    """From now on its policy writes `tokens` int64 [1, L], then nothing more."""
    script = torch.from_numpy(np.pad(tokens, ((0, 0), (0, 64))))
    size = thought_size(robot.policy.config)
    robot.policy.follow = lambda written, _: one_hot(script[:, 1 : written.shape[1] + 1], size)  # type: ignore


def test_an_agent_says_what_its_policy_writes_and_where_it_sees_its_hand_go() -> None:
    robot, words = thinking_agent(), vocabulary()
    chunk = np.random.default_rng(2).uniform(-1, 1, (POLICY.chunk, 2)).astype(np.float32)
    tokens, _ = words.encode([TEXTS[1]], [chunk], length=40)
    says(robot, tokens)
    found = robot.think(observation())
    assert found.subgoal == TEXTS[1]
    assert found.chunk is not None
    expected = normalizer().denormalise_action(chunk)
    assert np.abs(found.chunk - expected).max() < 1.5 * words.actions.error_bound
    assert found.track.shape == (10, 2)
    unfinished = tokens[:, : (tokens[0] == ACT).argmax() + 1]
    says(robot, unfinished)
    assert robot.think(observation()).subgoal == TEXTS[1]
    assert robot.think(observation()).chunk is None
    says(robot, np.append(unfinished[0], [unfinished[0, 1], END])[None])
    assert (robot.think(observation()).subgoal, robot.think(observation()).chunk) == (TEXTS[1], None)


def test_deciding_does_not_wait_for_a_thought() -> None:
    robot = thinking_agent()
    robot.policy.thought.writer.forward = robot.policy.thought.tracker.forward = None  # type: ignore
    assert np.isfinite(robot.decide(observation(), generator=generator(1)).chunk).all()


def test_a_policy_that_was_not_trained_to_think_says_so() -> None:
    with pytest.raises(Invalid, match="thought"):
        agent().think(observation())
    with pytest.raises(Invalid, match="thought"):
        policy().think({"proprio": torch.zeros(1, 3)})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("proprio_low", [0.0] * 4),
        ("action_low", [-0.5] * 3),
        ("action_high", [0.8]),
        ("action_low", [-40.0, -0.5]),
    ],
)
def test_statistics_of_another_robot_never_act(field: str, value: list[float]) -> None:
    """Two policies of one shape: nothing but the statistics tells whose they are."""
    p, w, n = policy(), world(), normalizer()
    other = {**n.to_dict(), field: value}
    partner = field.replace("low", "high") if "low" in field else field.replace("high", "low")
    if len(value) != len(other[partner]):
        other[partner] = [2.0 if "low" in field else -2.0] * len(value)
    told = policy_manifest(p, n, Told()) | {"normalizer": other}
    with pytest.raises(Invalid, match="normalizer"):
        Agent.from_registry_parts(weights(p), told, weights(w), world_manifest(w, n) | {"normalizer": other})


def test_a_world_model_of_another_robot_of_the_same_shape_is_refused() -> None:
    p, w, n = policy(), world(), normalizer()
    other = n.to_dict() | {"proprio_high": [9.0, 9.0, 9.0]}
    with pytest.raises(Invalid, match="trained together"):
        Agent.from_registry_parts(
            weights(p), policy_manifest(p, n, Told()), weights(w), world_manifest(w, n) | {"normalizer": other}
        )


@pytest.mark.parametrize("spoil", [float("nan"), 1e30])
def test_efficient_mode_is_untouched_by_whatever_the_world_model_says(spoil: float) -> None:
    clean, spoilt = agent(efficient=True), agent(efficient=True)
    with torch.no_grad():
        for parameter in spoilt.world.parameters():
            parameter.fill_(spoil)
    chunks = [robot.decide(observation(), generator=generator(1)).chunk for robot in (clean, spoilt)]
    assert np.isfinite(chunks[0]).all()
    assert np.array_equal(*chunks)
