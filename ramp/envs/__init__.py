"""Environments: what a robot can be here. Simulators are imported only when one is made: they take a second to load
and need a GL library that a process without pictures does not."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType

from ramp.envs import counting
from ramp.envs.checks import GL_REMEDY, unknown
from ramp.envs.config import EnvConfig
from ramp.envs.counting import CountingEnv, CountingExpert
from ramp.envs.hand import Labels, label
from ramp.envs.instructions import INSTRUCTIONS
from ramp.envs.views import FREE, SAWYER, VIEWS
from ramp.errors import Invalid
from ramp.interfaces import Env, Expert

__all__ = [
    "EnvConfig",
    "Labels",
    "check_rendering",
    "check_tasks",
    "label",
    "make_env",
    "make_expert",
    "task_names",
]

NO_EXPERT = "only the suites metaworld and counting have a scripted expert"


def make_env(task: str, config: EnvConfig) -> Env:
    """The environment of a task. Raises Invalid for an unknown task or camera (with the nearest names), and where
    MuJoCo can't be loaded because the GL library that MUJOCO_GL names is missing."""
    if config.suite == "counting":
        return CountingEnv(task, config)
    if config.suite == "gymnasium":
        return load("ramp.envs.gymnasium").make_gymnasium(task, config)
    return load("ramp.envs.metaworld").MetaWorldEnv(task, config)


def make_expert(env: Env) -> Expert:
    """The scripted expert that watches `env`, which must come from make_env. Raises Invalid where there is none."""
    if isinstance(env, CountingEnv):
        return CountingExpert(env)
    if type(env).__name__ == "MetaWorldEnv":
        return load("ramp.envs.expert").MetaWorldExpert(env)
    raise Invalid("env", type(env).__name__, NO_EXPERT)


def task_names(suite: str) -> tuple[str, ...]:
    """All tasks of a suite, sorted."""
    if suite == "counting":
        return tuple(sorted(counting.TASKS))
    if suite == "gymnasium":
        return tuple(sorted(load("gymnasium").registry))
    return tuple(sorted(INSTRUCTIONS))


def check_tasks(config: EnvConfig, tasks: Iterable[str]) -> None:
    """Whether a whole run can be made of these tasks; loads no simulator. Raises Invalid for an unknown task or
    camera (with the nearest names), and for a suite without an expert: a run starts from demonstrations."""
    if config.suite == "gymnasium":
        raise Invalid("env.suite", config.suite, NO_EXPERT)
    for task in tasks:
        if task not in task_names(config.suite):
            raise unknown("tasks", task, task_names(config.suite))
    for camera in config.cameras:
        if config.suite == "metaworld" and camera not in (*SAWYER, *VIEWS, FREE):
            raise unknown("env.cameras", camera, (*SAWYER, *VIEWS, FREE))


def check_rendering() -> None:
    """Draw one small picture. Raises Invalid, naming the package and the setting, where that fails."""
    load("ramp.envs.rendering").check_rendering()


def load(module: str) -> ModuleType:
    """Import a simulator. MuJoCo opens the GL library on import, and says so in three kinds of exceptions."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise
    except (ImportError, AttributeError, RuntimeError) as error:
        raise Invalid("MUJOCO_GL", f"MuJoCo can't be loaded ({error})", GL_REMEDY) from error
