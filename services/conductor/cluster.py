"""The Ray cluster of a run: a local one that lives and dies with the conductor, or one that runs already."""

from __future__ import annotations

import logging
import os
import signal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ramp.errors import Unauthenticated, Unavailable
from services.common.settings import Settings, keep_ray_quiet
from services.conductor.processes import python_path

SPARE_CPUS = 2  # logical ones, for Ray Train's controller and small tasks


def start(settings: Settings) -> None:
    """Connect; with no address, start a local cluster first. Raises Unavailable, Unauthenticated.

    A cluster that asks for a token finds it in this process's environment (RAY_AUTH_TOKEN), as Ray's own commands do.
    On Linux Ray's own processes ignore Ctrl-C and die with this one, so that only the conductor has to stop in order.
    """
    keep_ray_quiet()
    ours = signal.getsignal(signal.SIGTERM)
    try:
        if settings.ray.address:
            ray.init(address=settings.ray.address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            _start_local(settings)
    except ray.exceptions.AuthenticationError as error:
        remedy = "give the cluster's token: RAY_AUTH_MODE=token with RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH for a file"
        raise Unauthenticated(f"Ray at {settings.ray.address} does not let this process in; {remedy}") from error
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        where = settings.ray.address or "a local cluster"
        raise Unavailable(f"Ray does not start with {where}: {error}; `ramp doctor` checks the machine") from error
    finally:
        if callable(ours):  # Ray has put one in its place that exits on the spot
            signal.signal(signal.SIGTERM, ours)


def stop() -> None:
    """Disconnect; a local cluster ends with all its processes."""
    if ray.is_initialized():
        ray.shutdown()


def kill(node: str, pid: int) -> None:
    """SIGKILL to a process on that node of the cluster, wherever it is; returns at once."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    _kill.options(scheduling_strategy=there).remote(pid)


@ray.remote(num_cpus=0, max_retries=0)
def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _start_local(settings: Settings) -> None:
    """Logical CPUs only bound how many processes Ray starts; what they may use is up to the machine."""
    ray.init(
        address="local",
        include_dashboard=False,
        num_cpus=settings.actors.count + settings.learner.workers + SPARE_CPUS,
        object_store_memory=settings.ray.object_store_mib * 2**20,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
        namespace="ramp",
        runtime_env={"env_vars": {"PYTHONPATH": python_path()}},
    )
