"""One model in training: DeepSpeed behind six verbs. The only file that imports it.

    loss, report = engine.loss(algorithm, tensors, generator=generator)
    engine.step(loss)                  # backward, clip, AdamW, averaged weights
    engine.weights()                   # what is published
    engine.restart(weights)            # from other weights, the optimiser as at the first update
    engine.state() / engine.load()     # what is checkpointed: whole tensors, so any number of workers can go on

Several engines live in one process (tokenizer, world model, policy). ZeRO stages 0 to 2; stage 0 replicates the
optimiser and is the fastest where it fits.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.utils import safe_get_full_optimizer_state, safe_set_full_optimizer_state
from torch import Tensor, nn

from ramp.errors import Invalid
from ramp.interfaces import Algorithm
from services.learner.divergence import DivergedError
from services.learner.precision import matrix_products
from services.learner.schedule import lr_factor

# DeepSpeed would compile its shared-memory all-reduce at the first start: 25 s and a C++ compiler. It serves
# inference only, training reduces through torch.distributed, so it is declared absent before anything asks for it.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW


def untimed(_: str) -> AbstractContextManager[None]:
    """Around what nobody counts."""
    return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a model is optimised."""

    lr: float
    weight_decay: float
    grad_clip: float  # of the gradient's norm; 0: none
    spans: Sequence[int]  # updates of the stages in which the model is trained
    warmup: int
    final_lr: float
    ema: float = 0.0  # decay of the averaged weights; 0: none are kept
    beta2: float = 0.999  # AdamW's decay of the mean of squared gradients
    zero_stage: int = 0
    bfloat16: bool = False  # of matrix products, forwards and backwards; weights, moments and losses stay float32


class Engine:
    """A model, its AdamW and its averaged weights. Only parameters that take gradients at construction are trained."""

    def __init__(
        self, model: nn.Module, plan: Plan, spent: Callable[[str], AbstractContextManager[None]] = untimed
    ) -> None:
        """Collective: every worker calls it, and starts from worker 0's weights. `spent("sync")` surrounds every
        exchange of gradients. Raises Invalid for ZeRO stage 3."""
        if plan.zero_stage not in (0, 1, 2):
            raise Invalid("learner.zero_stage", plan.zero_stage, "use 0, 1 or 2")
        _ensure_group()
        self.model, self.plan, self.updates = model, plan, 0
        self.gradient_norm = 0.0  # of the last update, before clipping
        self._began = 0  # updates at the last restart: AdamW and the averaged weights know nothing of those before
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW(
            self._trained.values(),
            lr=plan.lr,
            betas=(0.9, plan.beta2),
            weight_decay=plan.weight_decay,
            fused=True,
        )
        self._engine, *_ = deepspeed.initialize(
            model=_Objective(model, plan.bfloat16), optimizer=optimizer, config=_config(plan), dist_init_required=False
        )
        # With one worker there is nobody to reduce with, and copying gradients into buckets would be for nothing.
        self._engine.enable_backward_allreduce = workers() > 1 or plan.zero_stage > 0
        self._engine.allreduce_gradients = _inside(spent, self._engine.allreduce_gradients)
        share_buffers(model)
        self._averaged = [p.detach().clone() for p in self._trained.values()] if plan.ema else []

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def loss(
        self, algorithm: Algorithm, tensors: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The algorithm's loss of this worker's share of the batch, and what it reports."""
        return self._engine(algorithm, tensors, generator)

    def step(self, loss: Tensor) -> bool:
        """One update; False where the loss or its gradient is not finite: then nothing changed, on any worker.

        Raises DivergedError where that was noticed only after the update (ZeRO stages 1 and 2).
        """
        self._set_lr()
        applied = self._step_replicated(loss) if self.plan.zero_stage == 0 else self._step_partitioned(loss)
        if applied:
            self.updates += 1
            self._average()
        return applied

    def weights(self, *, averaged: bool = False) -> dict[str, Tensor]:
        """Copies of all parameters and buffers on the CPU; the trained ones averaged over the updates if asked."""
        tensors = {name: _copy(tensor) for name, tensor in self.model.state_dict().items()}
        if averaged and self._averaged:
            means = dict(zip(map(id, self._trained.values()), self._averaged, strict=True))
            named = self.model.named_parameters(remove_duplicate=False)  # tied weights have several names
            tensors |= {name: _copy(means[id(parameter)]) for name, parameter in named if id(parameter) in means}
        return tensors

    def state(self) -> dict[str, Tensor]:
        """All that training goes on from, as whole tensors on the CPU. Collective where ZeRO divides the moments."""
        found = {f"model.{name}": tensor for name, tensor in self.weights().items()}
        for name, mean in zip(self._trained, self._averaged, strict=False):
            found[f"ema.{name}"] = _copy(mean)
        for name, parameter in self._trained.items() if self.updates else ():
            found |= {f"{key}.{name}": _copy(self._moment(parameter, key)) for key in MOMENTS}
        found |= {"updates": torch.tensor(self.updates), "began": torch.tensor(self._began)}
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`, whatever the number of workers was. Raises Invalid where the model is another one."""
        self._check(state)
        updates, began = int(state["updates"]), int(state.get("began", 0))  # 0: written before there were restarts
        if updates:
            self._create_moments()
        with torch.no_grad():
            self.model.load_state_dict({name: state[f"model.{name}"] for name in self.model.state_dict()})
            for name, mean in zip(self._trained, self._averaged, strict=False):
                mean.copy_(state[f"ema.{name}"])
            for name, parameter in self._trained.items() if updates else ():
                for key in MOMENTS:
                    self._set_moment(parameter, key, state[f"{key}.{name}"])
        self._set_count(updates - began)
        self.updates, self._began = updates, began
        if self.plan.zero_stage:
            self._engine.optimizer.refresh_fp32_params()

    def restart(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from these weights as if no update had been: averaged weights and AdamW begin anew. The count of
        updates, by which learning rate, noise and published versions go, runs on. Collective. Raises Invalid where the
        weights are another model's."""
        count = torch.tensor(self.updates)
        state = {f"model.{name}": tensor for name, tensor in weights.items()} | {"updates": count, "began": count}
        for name, parameter in self._trained.items():
            nothing = torch.zeros((), dtype=parameter.dtype).expand_as(parameter)
            state |= {f"{key}.{name}": nothing for key in MOMENTS}
            if name in weights:
                state[f"ema.{name}"] = weights[name]
        self.load(state)

    def finite(self) -> bool:
        """Whether all that would be checkpointed or published of the model is a number; the same on every worker."""
        tensors = [*self.model.state_dict().values(), *self._averaged]
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)

    def _check(self, state: Mapping[str, Tensor]) -> None:
        """Invalid where a tensor is missing or of another shape."""
        kept = [*(["ema"] if self._averaged else []), *(MOMENTS if int(state["updates"]) else [])]
        wanted = {f"model.{name}": tensor.shape for name, tensor in self.model.state_dict().items()}
        wanted |= {f"{key}.{name}": p.shape for key in kept for name, p in self._trained.items()}
        for name, shape in wanted.items():
            if name not in state or state[name].shape != shape:
                raise Invalid("checkpoint", name, "resume with the settings that the run was started with")

    def close(self) -> None:
        """Take DeepSpeed's hooks off the model, so that another engine can train other parts of it."""
        self._engine.destroy()

    def _step_replicated(self, loss: Tensor) -> bool:
        """Gradients are whole on every worker, so the norm tells all of them the same."""
        self._engine.backward(loss)
        limit = self.plan.grad_clip or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained.values(), limit))
        if not math.isfinite(norm):
            self._engine.zero_grad()
            return False
        self.gradient_norm = norm
        self._engine.step()
        return True

    def _step_partitioned(self, loss: Tensor) -> bool:
        """DeepSpeed reduces and clips on the way, so all workers must agree on a good loss before."""
        if not all(agree(bool(torch.isfinite(loss.detach())))):
            return False
        self._engine.backward(loss)
        self._engine.step()
        self.gradient_norm = float(self._engine.get_global_grad_norm() or 0.0)
        if not math.isfinite(self.gradient_norm):
            raise DivergedError(f"the gradient's norm was not finite in update {self.updates}")
        return True

    def _set_lr(self, lr: float | None = None) -> None:
        plan = self.plan
        if lr is None:
            lr = plan.lr * lr_factor(self.updates, plan.spans, warmup=plan.warmup, final=plan.final_lr)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def _average(self) -> None:
        """mean <- decay * mean + (1 - decay) * weights; the decay rises at first, so that the start is forgotten."""
        if self._averaged:
            done = self.updates - self._began
            decay = min(self.plan.ema, (1 + done) / (10 + done))
            torch._foreach_lerp_(self._averaged, [p.detach() for p in self._trained.values()], 1.0 - decay)

    def _moment(self, parameter: Tensor, key: str) -> Tensor:
        if self.plan.zero_stage == 0:  # AdamW keeps none of a parameter that no loss has used yet
            return self._engine.optimizer.state[parameter].get(key, torch.zeros_like(parameter))
        moment: Tensor = safe_get_full_optimizer_state(parameter, key)
        return moment

    def _set_moment(self, parameter: Tensor, key: str, value: Tensor) -> None:
        if self.plan.zero_stage == 0:
            self._engine.optimizer.state[parameter][key].copy_(value)
        else:
            safe_set_full_optimizer_state(parameter, value.to(parameter.device), key)

    def _create_moments(self) -> None:
        """AdamW makes them in its first step: one with zero gradients and learning rate 0 changes nothing else."""
        loss, _ = self._engine(_Nothing(), {}, None)
        self._engine.backward(loss)
        self._set_lr(0.0)
        self._engine.step()

    def _set_count(self, updates: int) -> None:
        base = self._engine.optimizer if self.plan.zero_stage == 0 else self._engine.optimizer.optimizer
        for entry in base.state.values():
            if "step" in entry:
                entry["step"].fill_(updates)


class _Objective(nn.Module):
    """DeepSpeed wants a module whose forward gives the loss; the algorithm does, and it decides what to call."""

    def __init__(self, model: nn.Module, bfloat16: bool) -> None:
        super().__init__()
        self.model, self._in_bfloat16 = model, bfloat16

    def forward(
        self, algorithm: Algorithm, tensors: Mapping[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        with matrix_products(next(self.model.parameters()).device, self._in_bfloat16):
            return algorithm.loss(self.model, tensors, generator=generator)


class _Nothing:
    """An algorithm with gradient zero everywhere."""

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        terms = [(parameter * 0.0).sum() for parameter in model.parameters() if parameter.requires_grad]
        return torch.stack(terms).sum(), {}


def workers() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def agree(*facts: bool) -> tuple[bool, ...]:
    """Which of the facts are true on every worker. Collective."""
    if workers() == 1:
        return facts
    flags = torch.tensor([float(fact) for fact in facts], device=_device())
    dist.all_reduce(flags, op=dist.ReduceOp.MIN)
    return tuple(flag > 0.5 for flag in flags.tolist())


def from_first(value: int) -> int:
    """Worker 0's number, on every worker. Collective."""
    if workers() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.int64, device=_device())
    dist.broadcast(shared, src=0)
    return int(shared.item())


def share_buffers(model: nn.Module) -> None:
    """Worker 0's buffers (running statistics) on every worker; parameters agree anyway. Collective."""
    if workers() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def training_device() -> torch.device:
    """A GPU of this worker's own where there is one."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("cpu")


def _inside(spent: Callable[[str], AbstractContextManager[None]], exchange: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        with spent("sync"):
            return exchange(*arguments, **named)

    return timed


def _copy(tensor: Tensor) -> Tensor:
    """On the CPU: a GPU that trains a full-size model has no room for its state twice."""
    return tensor.detach().to("cpu", copy=True)


def _device() -> torch.device:
    return training_device() if dist.get_backend() == "nccl" else torch.device("cpu")


def _ensure_group() -> None:
    """Ray Train has made the process group; alone (benchmarks, unit tests) this process makes one of itself."""
    if not dist.is_initialized():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        alone = {
            "RANK": "0",
            "WORLD_SIZE": "1",
            "LOCAL_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        os.environ.update(alone)
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if not deepspeed.comm.is_initialized():
        deepspeed.init_distributed(dist_backend=dist.get_backend(), auto_mpi_discovery=False, verbose=False)


def _config(plan: Plan) -> dict[str, Any]:
    """DeepSpeed's settings; nothing is timed, printed or monitored by it, the learner does that."""
    return {
        "train_micro_batch_size_per_gpu": 1,  # the loader decides; DeepSpeed only counts samples with it
        "gradient_accumulation_steps": 1,
        "gradient_clipping": plan.grad_clip if plan.zero_stage else 0.0,  # stage 0 clips in Engine.step
        "zero_optimization": {"stage": plan.zero_stage, "overlap_comm": False},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }
