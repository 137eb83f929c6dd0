"""One model in training: DeepSpeed behind five verbs. The only file that imports it.

    loss, report = engine.loss(algorithm, tensors, generator=generator)
    engine.step(loss)                  # backward, clip, AdamW, averaged weights
    engine.weights()                   # what is published
    engine.state() / engine.load()     # what is checkpointed: whole tensors, so any number of workers can go on

Several engines live in one process (tokenizer, world model, policy). ZeRO stages 0 to 2; stage 0 replicates the
optimiser and is the fastest where it fits.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
)
from torch import Tensor, nn

from ramp.errors import Invalid, RampError
from ramp.interfaces import Algorithm
from services.learner.schedule import lr_factor

# DeepSpeed would compile its shared-memory all-reduce at the first start: 25 s and a C++ compiler. It serves
# inference only, training reduces through torch.distributed, so it is declared absent before anything asks for it.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW


class DivergedError(RampError):
    """The weights are no longer finite: only a checkpoint helps."""


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
    zero_stage: int = 0


class Engine:
    """A model, its AdamW and its averaged weights. Only parameters that take gradients at construction are trained.

    A model in bfloat16 is trained in it, by an AdamW whose weights and moments are float32: that is ZeRO's doing.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        """Collective: every worker calls it, and starts from worker 0's weights. Raises Invalid for ZeRO stage 3, and
        for a model in bfloat16 without ZeRO."""
        if plan.zero_stage not in (0, 1, 2):
            raise Invalid("learner.zero_stage", plan.zero_stage, "use 0, 1 or 2")
        _ensure_group()
        self.model, self.plan, self.updates = model, plan, 0
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._bf16 = any(p.dtype == torch.bfloat16 for p in self._trained.values())
        if self._bf16 and not plan.zero_stage:
            raise Invalid("learner.zero_stage", 0, "use 1 or 2 for a model in bfloat16")
        optimizer = torch.optim.AdamW(self._trained.values(), lr=plan.lr, weight_decay=plan.weight_decay, fused=True)
        self._engine, *_ = deepspeed.initialize(
            model=_Objective(model),
            optimizer=optimizer,
            config=_config(plan, bf16=self._bf16),
            dist_init_required=False,
        )
        # With one worker there is nobody to reduce with, and copying gradients into buckets would be for nothing.
        self._engine.enable_backward_allreduce = workers() > 1 or plan.zero_stage > 0
        share_buffers(model)
        kept = self._trained.values() if plan.ema else ()
        self._averaged = [p.detach().to(torch.float32, copy=True) for p in kept]

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
        """Copies of all parameters and buffers; the trained ones averaged over the updates if asked."""
        tensors = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        if averaged and self._averaged:
            means = zip(self._trained, self._averaged, strict=True)
            tensors |= {name: mean.to(tensors[name].dtype, copy=True) for name, mean in means}
        return tensors

    def state(self) -> dict[str, Tensor]:
        """Everything that training goes on from, as whole tensors: of a model in bfloat16 the float32 weights that
        its updates add up in. Collective where ZeRO divides the moments."""
        found = {f"model.{name}": tensor for name, tensor in self.weights().items()}
        for name, parameter in self._trained.items() if self._bf16 else ():
            found[f"model.{name}"] = safe_get_full_fp32_param(parameter).clone()
        for name, mean in zip(self._trained, self._averaged, strict=False):
            found[f"ema.{name}"] = mean.clone()
        for name, parameter in self._trained.items() if self.updates else ():
            found |= {f"{key}.{name}": self._moment(parameter, key).clone() for key in MOMENTS}
        found["updates"] = torch.tensor(self.updates)
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`, whatever the number of workers was. Raises Invalid where the model is another one."""
        self._check(state)
        updates = int(state["updates"])
        if updates:
            self._create_moments()
        with torch.no_grad():
            self.model.load_state_dict({name: state[f"model.{name}"] for name in self.model.state_dict()})
            for name, mean in zip(self._trained, self._averaged, strict=False):
                mean.copy_(state[f"ema.{name}"])
            for name, parameter in self._trained.items() if updates else ():
                for key in MOMENTS:
                    self._set_moment(parameter, key, state[f"{key}.{name}"])
        self._set_count(updates)
        self.updates = updates
        if self.plan.zero_stage:
            self._engine.optimizer.refresh_fp32_params()
        for name, parameter in self._trained.items() if self._bf16 else ():
            safe_set_full_fp32_param(parameter, state[f"model.{name}"].to(parameter.device))

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
        norm = torch.nn.utils.clip_grad_norm_(self._trained.values(), limit)
        if not math.isfinite(float(norm)):
            self._engine.zero_grad()
            return False
        self._engine.step()
        return True

    def _step_partitioned(self, loss: Tensor) -> bool:
        """DeepSpeed reduces and clips on the way, so all workers must agree on a good loss before."""
        if not all(agree(bool(torch.isfinite(loss.detach())))):
            return False
        self._engine.backward(loss)
        self._engine.step()
        if not math.isfinite(float(self._engine.get_global_grad_norm() or 0.0)):
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
            decay = min(self.plan.ema, (1 + self.updates) / (10 + self.updates))
            torch._foreach_lerp_(self._averaged, [p.detach().float() for p in self._trained.values()], 1.0 - decay)

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

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, algorithm: Algorithm, tensors: Mapping[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
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


def _config(plan: Plan, *, bf16: bool) -> dict[str, Any]:
    """DeepSpeed's settings; nothing is timed, printed or monitored by it, the learner does that."""
    return {
        "train_micro_batch_size_per_gpu": 1,  # the loader decides; DeepSpeed only counts samples with it
        "gradient_accumulation_steps": 1,
        "gradient_clipping": plan.grad_clip if plan.zero_stage else 0.0,  # stage 0 clips in Engine.step
        "zero_optimization": {"stage": plan.zero_stage, "overlap_comm": False},
        "bf16": {"enabled": bf16},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }
