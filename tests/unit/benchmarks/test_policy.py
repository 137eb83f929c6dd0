"""The yardstick of a decision does the same arithmetic as the agent."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks import policy
from benchmarks.turns import alternate
from ramp.models.agent import Agent
from ramp.recipes import RECIPES


def stirred(beta: float, *, efficient: bool) -> Agent:
    """With weights that are not zero where a new policy's are: its output would be all noise."""
    agent = policy.sample_agent(replace(RECIPES["metaworld"](), seed=1), beta, efficient=efficient)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return agent


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("efficient", [True, False])
def test_the_straight_line_ends_where_the_agent_does(beta: float, efficient: bool) -> None:
    agent, seen = stirred(beta, efficient=efficient), policy.sample_observation(RECIPES["metaworld"]())
    torch.manual_seed(5)
    chunk = agent.normalizer.denormalise_action(policy._straight(agent, seen)()[0].numpy()).clip(-1.0, 1.0)
    decision = agent.decide(seen, generator=torch.Generator().manual_seed(5))
    assert abs(decision.chunk).min() < 1.0  # not all cut at the bounds
    torch.testing.assert_close(torch.from_numpy(chunk), torch.from_numpy(decision.chunk), rtol=1e-4, atol=1e-5)


def test_two_sides_take_turns() -> None:
    calls: list[str] = []
    ours, theirs = alternate(lambda: calls.append("a"), lambda: calls.append("b"), 2)
    assert "".join(calls) == "baabbaabba"  # three pairs to warm up, two that count
    assert (len(ours), len(theirs)) == (2, 2)
