"""Environments: what a robot can be here. Simulators are imported only when one is made: they take a second to load
and need a GL library that a process without pictures does not."""

from __future__ import annotations

import importlib
from types import ModuleType

from ramp.envs.checks import GL_REMEDY
from ramp.envs.config import EnvConfig
from ramp.envs.counting import CountingEnv, CountingExpert
from ramp.errors import Invalid
from ramp.interfaces import Env, Expert

__all__ = ["EnvConfig", "check_rendering", "make_env", "make_expert", "task_names"]


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
    raise Invalid("env", type(env).__name__, "only the suites metaworld and counting have a scripted expert")


def task_names(suite: str) -> tuple[str, ...]:
    """All tasks of a suite, sorted."""
    if suite == "counting":
        return tuple(sorted(load("ramp.envs.counting").TASKS))
    if suite == "gymnasium":
        return tuple(sorted(load("gymnasium").registry))
    return load("ramp.envs.metaworld").TASKS


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
