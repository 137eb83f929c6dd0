"""The example of docs/robots.md as it stands there: a robot acts by a real policy server and stores what it did."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from ramp.envs import make_env
from ramp.types import EpisodeHeader, Outcome
from services.clients.policy import PolicyClient
from services.clients.registry import DirectoryRegistry
from services.clients.replay import ReplayClient
from tests.counting import counting_settings
from tests.policies import publish
from tests.policy_process import PolicyProcess
from tests.replay_process import ReplayProcess
from tests.unit.sources import ROOT

pytestmark = pytest.mark.loop


def example() -> ModuleType:
    """The block of the page that defines `drive`, as a module."""
    text = (ROOT / "docs" / "robots.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def drive" in block]
    assert len(code.partition("def drive")[2].splitlines()) <= 25
    module = ModuleType("drive")
    exec(compile(code, "robots.md", "exec"), module.__dict__)
    return module


def test_the_documented_robot_acts_and_its_episodes_are_stored(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path)
    version = publish(DirectoryRegistry(tmp_path / "registry"))
    replays, policies = ReplayProcess(tmp_path), PolicyProcess(tmp_path)
    env = make_env("count-up", settings.env)
    try:
        store, server = replays.start(), policies.start()
        with ReplayClient(store, name="arm-7", spool=tmp_path / "spool") as replay, PolicyClient(server) as policy:
            for seed in range(2):
                header = EpisodeHeader(
                    episode_id=f"arm-7-{seed}",
                    task="count-up",
                    instruction=env.instruction,
                    robot="arm-7",
                    seed=seed,
                    max_steps=env.max_steps,
                    tables=("online",),
                    schema=env.schema,
                )
                assert example().drive(env, policy, replay, header) in tuple(Outcome)
            assert replay.flush(60)
            stored = replay.query()
    finally:
        policies.close()
        replays.close()

    assert [(each.episode_id, each.policy_version) for each in stored] == [
        ("arm-7-0", version),
        ("arm-7-1", version),
    ]
    assert all(each.steps > 0 for each in stored)
