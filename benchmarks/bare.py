"""The yardstick for rollout actors, in a process of its own: the same simulator, policy and pictures in a plain loop.

No Ray, no gRPC, nothing recorded, nothing stored. It reads one JSON request a line and answers with one JSON line:

    {"do": "episode", "seed": 7}                        -> {"steps": ..., "seconds": ..., "cpu_seconds": ...}
    {"do": "pictures", "how": "default", "count": 100}  -> {"frames": ..., "seconds": ..., "cpu_seconds": ...}
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from ramp.envs import make_env
from ramp.interfaces import Env
from ramp.models.agent import Agent
from ramp.types import Observation
from services.actor.agents import Agents
from services.actor.assignment import Assignment
from services.actor.loop import seed_of
from services.clients.registry import DirectoryRegistry
from services.common.settings import Settings, load_settings


def episode(env: Env, agent: Agent, *, start: int, noise_seed: int, frame_stride: int) -> int:
    """Act with the policy until success or the limit; frames where training or a decision needs them. Steps taken."""
    generator = torch.Generator().manual_seed(noise_seed)
    now = env.reset(start)
    chunk: list[np.ndarray] = []
    for step in range(env.max_steps):
        frames = env.render() if step % frame_stride == 0 or not chunk else {}
        if not chunk:
            observation = Observation(images=frames, proprio=now.proprio, instruction=env.instruction)
            chunk = list(agent.decide(observation, generator=generator).chunk)
        now = env.step(chunk.pop(0))
        if now.success or now.truncated:
            break
    return step + 1


def default_pictures(task: str, camera: str, size: int) -> Callable[[], Any]:
    """Meta-World as it comes: one camera, shadows, reflections and multisampling on."""
    env = ALL_V3_ENVIRONMENTS[task](render_mode="rgb_array", camera_name=camera, width=size, height=size)
    env._freeze_rand_vec = False
    env._set_task_called = True
    env.reset()
    return env.render


def our_pictures(settings: Settings, task: str) -> Callable[[], Any]:
    env = make_env(task, settings.env)
    env.reset(0)
    return env.render


class Bare:
    """The environments and weights that the requests are about."""

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.actors.threads)
        self.settings, self.task = settings, settings.tasks[0]
        self.env = make_env(self.task, settings.env)
        self.agent = Agents(DirectoryRegistry(Path(settings.dir) / "registry")).get(0, self.env.schema)

    def answer(self, request: dict[str, Any]) -> dict[str, float]:
        if request["do"] == "episode":
            return timed("steps", lambda: self.episode(request["seed"]))
        return self.pictures(request["how"], request["count"])

    def episode(self, seed: int) -> int:
        same = Assignment(purpose="rollout", task=self.task, seed=seed, tables=("online",))
        noise, stride = seed_of(self.settings.seed, same), self.settings.env.frame_stride
        return episode(self.env, self.agent, start=seed, noise_seed=noise, frame_stride=stride)

    def pictures(self, how: str, count: int) -> dict[str, float]:
        size = self.settings.env.image_size
        draw = (
            default_pictures(self.task, "topview", size) if how == "default" else our_pictures(self.settings, self.task)
        )
        each = 1 if how == "default" else len(self.settings.env.cameras)
        draw()  # the first one builds the renderer
        return timed("frames", lambda: sum(each for _ in range(-(-count // each)) if draw() is not None))


def timed(what: str, body: Callable[[], int]) -> dict[str, float]:
    wall, cpu = time.monotonic(), time.process_time()
    count = body()
    return {what: count, "seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu}


def main() -> None:
    bare = Bare(load_settings(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(bare.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
