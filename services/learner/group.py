"""The learner group: Ray Train launches the workers, watches them, and starts them again where one dies.

A dead worker takes its group down with it; the new group goes on from the newest checkpoint, within seconds. The number
of workers may be another one then. `run_learner` may be called from a thread of the conductor.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from ramp.errors import RampError
from services.common.settings import Settings, load_settings
from services.learner.divergence import DivergedError

LOG = logging.getLogger(__name__)

MAX_FAILURES = 20  # of the group within one call; then whoever called decides
WATCH_S = 1.0  # between Ray Train's looks at its workers
HUNG_S = 60.0  # without an answer, for a worker that is taken for dead then
START_S = 180.0  # for a group to come up on a busy machine
COLLECTIVE_S = 600  # longest wait for another worker inside an update


def run_learner(settings_path: str, replay_address: str, redis_url: str) -> None:
    """Train from wherever the last checkpoint stands, until the run is done or asked to stop; blocks.

    Needs a connected Ray. Raises RampError where the group failed MAX_FAILURES times, and DivergedError at once where
    going back to checkpoints did not help: the next group would go back to the same ones.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", str(WATCH_S))
    os.environ.setdefault("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", str(HUNG_S))
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(START_S))
    settings = load_settings(settings_path)
    run_dir = Path(settings.dir).resolve()
    _given_up(run_dir).unlink(missing_ok=True)
    gpu = ray.cluster_resources().get("GPU", 0) >= settings.learner.workers
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "settings_path": str(Path(settings_path).resolve()),
            "run_dir": str(run_dir),
            "replay_address": replay_address,
            "redis_url": redis_url,
        },
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=COLLECTIVE_S),
        scaling_config=ScalingConfig(
            num_workers=settings.learner.workers, use_gpu=gpu, resources_per_worker=_resources(settings, gpu)
        ),
        run_config=RunConfig(
            name="learner",
            storage_path=str(run_dir / "ray"),
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
            worker_runtime_env={"env_vars": _environment(settings)},  # type: ignore[call-arg]  # mypy sees the old API
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise RampError(f"the learner group failed: {_last_line(error)}; see {_log_path(run_dir)}") from error
    if _given_up(run_dir).exists():
        raise DivergedError(_given_up(run_dir).read_text(encoding="utf-8"))


def train_worker(config: dict[str, Any]) -> None:
    """One worker, in a process of its own that Ray Train has made a member of a torch process group."""
    import torch

    from services.learner.context import connect
    from services.learner.loop import Learner

    _log_to(_log_path(Path(config["run_dir"])))
    context = connect(**config, node=ray.get_runtime_context().get_node_id())
    torch.set_num_threads(context.settings.learner.threads)
    try:
        Learner(context).run()
    except DivergedError as error:  # a worker that raised it would be started again
        LOG.error("%s", error)
        _given_up(Path(config["run_dir"])).write_text(str(error), encoding="utf-8")
    except Exception:
        LOG.exception("a learner worker ends")
        raise
    finally:
        context.close()


def _resources(settings: Settings, gpu: bool) -> dict[str, float] | None:
    """What each worker takes; None leaves it to Ray: a GPU, or a CPU. A node that has the named resource is meant for
    one worker, however many CPUs it says it has."""
    if not settings.learner.resource:
        return None
    return {settings.learner.resource: 1, **({"GPU": 1} if gpu else {})}


def _environment(settings: Settings) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(settings.learner.threads)}


def _given_up(run_dir: Path) -> Path:
    """Why the workers ended although the training is not done."""
    return run_dir / "checkpoints" / "diverged.txt"


def _log_path(run_dir: Path) -> Path:
    return run_dir / "logs" / "learner.log"


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
