"""Depth in the policies: zero kernels at the start, hidden at random, and no depth at all as a case of hidden depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ramp.algorithms.ramp import RampAlgorithm
from ramp.errors import Invalid
from ramp.models.agent import Agent
from ramp.models.depth import add_depth_kernels, hide_depth, sees_depth, with_hidden_depth, without_depth
from ramp.models.frames import letterbox, letterbox_depth, to_depth, to_float
from ramp.models.value import ValueConfig, ValueModel
from ramp.models.vla import PaliGemmaPolicy, VLAPolicy
from ramp.models.world import WorldModel
from ramp.types import Observation
from tests.unit.models.samples import POLICY, SCHEMA, WORLD, generator, normalizer, observation, tensors
from tests.unit.models.vla.test_paligemma import TINY, TOKENS

DEEP = replace(SCHEMA, cameras=dict.fromkeys(SCHEMA.cameras, (32, 32, 4)))


def with_depth(items: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """The same batch with random depth."""
    images = items["images"]
    depth = torch.randint(0, 256, images[..., :1].shape, generator=generator(seed), dtype=torch.uint8)
    return {**items, "images": torch.cat([images, depth], dim=-1)}


def pair(kind: str) -> tuple[nn.Module, nn.Module]:
    """An RGB policy and one for RGB-D, both from the same seed."""
    made = []
    for schema in (SCHEMA, DEEP):
        torch.manual_seed(0)
        made.append(VLAPolicy(POLICY, schema, TOKENS) if kind == "small" else PaliGemmaPolicy(TINY, schema, TOKENS))
    return made[0].eval(), made[1].eval()


def stirred(policy: nn.Module) -> nn.Module:
    """With an output that is not all zero, as it is at the start; the depth kernels stay zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if not depth_kernels(name, parameter):
                parameter.add_(0.05 * torch.randn(parameter.shape))
    return policy


def depth_kernels(name: str, parameter: Tensor) -> bool:
    return ("patchify" in name or "patch_embedding" in name) and parameter.dim() == 4


def answer(policy: nn.Module, items: dict[str, Tensor]) -> Tensor:
    x = torch.randn((3, POLICY.chunk, 2), generator=generator(4))
    return policy(x, torch.full((3,), 0.5), policy.observe(items, None, torch.ones(3, dtype=torch.int64)))


@pytest.mark.parametrize("kind", ["small", "full"])
def test_at_the_start_depth_changes_nothing(kind: str) -> None:
    plain, deep = (stirred(policy) for policy in pair(kind))
    expected = answer(plain, tensors(3))
    assert float(expected.detach().abs().max()) > 0.01
    torch.testing.assert_close(answer(deep, with_depth(tensors(3))), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["small", "full"])
def test_a_policy_with_depth_is_the_same_but_for_its_depth_kernels(kind: str) -> None:
    plain, deep = (policy.state_dict() for policy in pair(kind))
    assert set(plain) == set(deep)
    wider = {name for name in plain if plain[name].shape != deep[name].shape}
    assert all("patchify.weight" in name or "patch_embedding.weight" in name for name in wider)
    assert len(wider) == (2 if kind == "small" else 1)
    for name in plain:
        assert torch.equal(deep[name][:, :3] if name in wider else deep[name], plain[name]), name
    assert all(not deep[name][:, 3].any() for name in wider)


@pytest.mark.parametrize("kind", ["small", "full"])
def test_the_loss_reaches_the_depth_kernels(kind: str) -> None:
    policy = stirred(pair(kind)[1])
    config = policy.config
    policy.config = replace(config, depth_dropout=0.0)
    items = with_depth({**tensors(3), "world_tokens": torch.randn((3, *TOKENS), generator=generator(1))})
    loss, _ = RampAlgorithm().loss(policy, items, generator=generator())
    loss.backward()
    first = next(p for name, p in policy.named_parameters() if depth_kernels(name, p))
    assert float(first.grad[:, 3].abs().max()) > 0.0
    torch.optim.SGD(policy.parameters(), lr=1.0).step()
    with torch.no_grad():
        one, other = answer(policy, items), answer(policy, with_depth(tensors(3), seed=9))
    assert float((one - other).abs().max()) > 0.0


def test_dropout_hides_all_depth_of_an_observation_or_none() -> None:
    images = with_depth(tensors(6))["images"].expand(40, -1, -1, -1, -1, -1).flatten(0, 1)
    hidden = hide_depth(images, 0.25, generator(2))
    assert torch.equal(hidden[..., :3], images[..., :3])
    gone = ~(hidden[..., 3] > 0).flatten(1).any(dim=1)
    assert torch.equal(hidden[~gone], images[~gone])
    assert 0.15 < float(gone.float().mean()) < 0.35
    assert (images[..., 3] > 0).flatten(1).any(dim=1).all()  # the batch itself is left alone


def test_frames_without_depth_pass_and_nothing_is_drawn_for_them() -> None:
    images, draws = tensors(2)["images"], generator(3)
    assert hide_depth(images, 0.5, draws) is images
    assert torch.equal(torch.rand(4, generator=draws), torch.rand(4, generator=generator(3)))


def test_world_and_value_models_see_rgb_alone() -> None:
    torch.manual_seed(0)
    world, value = WorldModel(WORLD, DEEP), ValueModel(ValueConfig(width=32, channels=8), DEEP)
    items, other = with_depth(tensors(3)), with_depth(tensors(3), seed=5)
    assert torch.equal(world.tokenize(items["images"]), world.tokenize(other["images"]))
    assert torch.equal(world.tokenize(items["images"]), world.tokenize(tensors(3)["images"]))
    assert torch.equal(value.predict(items), value.predict(other))


def agent(depth_dropout: float = 0.2) -> Agent:
    torch.manual_seed(0)
    world = WorldModel(WORLD, DEEP)
    policy = stirred(VLAPolicy(replace(POLICY, depth_dropout=depth_dropout), DEEP, world.token_shape))
    with torch.no_grad():
        for view in policy.backbone.views:
            view.patchify.weight[:, 3].fill_(0.5)
    return Agent(policy, world, normalizer())


@pytest.mark.parametrize("efficient", [True, False])
def test_a_robot_without_depth_is_served_as_one_whose_depth_is_hidden(efficient: bool) -> None:
    robot = agent()
    robot.efficient = efficient
    blind = observation()
    hidden = replace(blind, images=with_hidden_depth(blind.images))
    seeing = replace(blind, images={name: np.dstack([f[..., :3], f[..., :1]]) for name, f in blind.images.items()})
    chunks = [robot.decide(each, generator=generator(1)).chunk for each in (blind, hidden, seeing)]
    assert np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])
    assert robot.serves(SCHEMA)
    assert robot.serves(DEEP)
    assert not robot.serves(replace(SCHEMA, proprio_width=4))


def test_a_policy_that_never_missed_its_depth_refuses_a_robot_without() -> None:
    robot = agent(depth_dropout=0.0)
    assert not robot.serves(SCHEMA)
    with pytest.raises(Invalid, match=r"images\.front.*\(32, 32, 4\)"):
        robot.decide(observation(), generator=generator())


def test_a_policy_without_depth_refuses_frames_with_it() -> None:
    world = WorldModel(WORLD, SCHEMA)
    robot = Agent(VLAPolicy(POLICY, SCHEMA, world.token_shape), world, normalizer())
    seeing = Observation(
        images=with_hidden_depth(observation().images), proprio=observation().proprio, instruction="open the drawer"
    )
    assert not robot.serves(DEEP)
    with pytest.raises(Invalid, match=r"images\.front"):
        robot.decide(seeing, generator=generator())


def test_schemas_say_whether_there_is_depth() -> None:
    assert sees_depth(DEEP)
    assert not sees_depth(SCHEMA)
    assert without_depth(DEEP) == SCHEMA == without_depth(SCHEMA)


def test_no_reading_is_zero_and_the_nearest_is_one() -> None:
    frames = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 10, 20, 4)
    depth = to_depth(frames)
    assert depth.shape == (2, 1, 16, 32)
    assert not depth[0].any()
    assert torch.equal(depth[1, :, :10, :20], torch.ones(1, 10, 20))
    assert not depth[1, :, 10:].any()
    assert to_float(frames).shape == (2, 3, 16, 32)


def test_a_letterbox_invents_no_distances() -> None:
    frame = torch.zeros(1, 10, 20, 4, dtype=torch.uint8)
    frame[:, :, 10:, 3] = 200
    depth = letterbox_depth(frame, 8)
    assert depth.shape == (1, 1, 8, 8)
    assert set((255 * depth).round().flatten().tolist()) == {0.0, 200.0}
    assert not depth[:, :, :2].any()
    assert letterbox(frame, 8).shape == (1, 3, 8, 8)


def test_kernels_are_added_in_the_convolutions_own_dtype() -> None:
    convolution = nn.Conv2d(3, 4, 2, stride=2, dtype=torch.bfloat16)
    add_depth_kernels(convolution)
    assert convolution.weight.dtype == torch.bfloat16
    assert convolution(torch.zeros(1, 4, 4, 4, dtype=torch.bfloat16)).shape == (1, 4, 2, 2)
