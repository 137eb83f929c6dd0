"""What a run is, apart from where it runs: every number of the science, typed and validated, in one tree.

A recipe is a value. Bigger recipes start from smaller ones with `dataclasses.replace` (ramp/recipes/metaworld.py);
a file and `a.b=c` overrides are laid over it by services/common/settings.py, which adds the place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ramp.advantage.config import AdvantageConfig, BoundaryConfig
from ramp.envs.config import EnvConfig
from ramp.errors import Invalid
from ramp.models.value.config import ValueConfig
from ramp.models.vla.config import PolicyConfig
from ramp.models.world.config import WorldConfig

METHODS = ("ramp", "recap", "awr", "bc")
"""Objectives of the policy, each a page of ramp/algorithms."""

PRECISIONS = ("float32", "bfloat16")
"""float16 is not among them: its range is too small for gradients that nobody scales."""

CONTINUE, PRETRAINED = RESTARTS = ("continue", "pretrained")
"""From which weights a round of the joint stage trains; docs/recipe.md says what a round is."""

SEED_BLOCK = 100_000  # training seeds that belong to one value of `seed`


@dataclass(frozen=True, kw_only=True)
class DemosConfig:
    """Stage 1's demonstrations: the scripted expert with action noise, successes and failures alike."""

    episodes_per_task: int = 8  # demonstrations to be collected of each task
    noise: float = 0.3  # standard deviation added to the expert's action, in action units
    noise_steps: int = 1  # steps for which one draw of it lasts; longer ones lead further astray


@dataclass(frozen=True, kw_only=True)
class TakeoverConfig:
    """Stage 3's rule for the person: take over without progress or when the value falls; hand back after a while.

    All of it is something an operator can follow by looking at the predicted remaining time.
    """

    patience: int = 4  # decisions without progress before a takeover
    min_progress: float = 0.04  # remaining time (share of the limit) that must have passed over `patience` decisions
    fall: float = 0.15  # takeover at once where remaining time rises this far above its best
    hold: int = 72  # steps that a person keeps control before handing back
    stillness: float = 0.004  # robot units; an arm that moved less over `patience` decisions stands still
    max_takeovers: int = 4  # per episode


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """What a joint batch is made of: weights of tables, which need not add up to 1.

    A table with a weight must get episodes, as a batch waits for all of its parts."""

    demos: float = 0.5  # demonstrations
    online: float = 0.5  # rollouts, whoever acted
    corrections: float = 0.0  # of rollouts only what a person did, once more
    imagined: float = 0.0  # episodes of table imagined, for the policy alone: a world model does not learn from dreams

    def __post_init__(self) -> None:
        if not max(self.demos, self.online, self.corrections) > 0.0:
            raise Invalid("training.mixture", "no weight", "give demos, online or corrections a weight above 0")

    def real(self) -> MixtureConfig:
        """Without what was imagined."""
        return replace(self, imagined=0.0)


DEMONSTRATIONS = MixtureConfig(demos=1.0, online=0.0)
"""Before there is anything else."""


@dataclass(frozen=True, kw_only=True)
class StagesConfig:
    """Updates per stage of RAMP."""

    tokenizer_updates: int = 250  # stage 1: the tokenizer, then frozen
    world_updates: int = 700  # stage 1: the world model
    policy_updates: int = 600  # stage 2
    joint_updates: int = 2400  # stages 3 and 4, of the policy


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Batches, optimisers and the rhythm of the joint stage.

    A published world model begins a round. RECAP (Algorithm 1) trains every round from the pre-trained models,
    `restart="pretrained"`; RAMP does not say whether it does.
    """

    algorithm: str = "ramp"  # the policy's objective: ramp, recap, awr or bc
    policy_batch: int = 64  # items in one update of the policy
    world_batch: int = 48  # items in one update of the tokenizer or the world model
    policy_lr: float = 1e-3  # highest learning rate of the policy
    world_lr: float = 1e-3  # highest learning rate of tokenizer and world model
    weight_decay: float = 0.01  # of AdamW, for all models
    warmup: int = 100  # updates, at the start of each model's training
    world_warmup: int = 0  # the same for tokenizer and world model; 0: as training.warmup says
    beta2: float = 0.999  # AdamW's decay of the mean of squared gradients, for all models
    final_lr: float = 0.1  # share of the learning rate where the cosine ends
    grad_clip: float = 1.0  # bound on the norm of an update's gradient
    precision: str = "float32"  # of published weights, and of matrix products on a GPU: float32 or bfloat16
    ema: float = 0.995  # decay of the averaged policy weights that are published
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    world_every: int = 4  # joint stage: a world-model update every so many policy updates
    publish_every: int = 250  # joint stage: policy updates between published policies
    relabel_every: int = 500  # joint stage: policy updates between published world models (and so relabellings)
    restart: str = CONTINUE  # joint stage: a round trains from the one before (continue) or from pretrained models

    def __post_init__(self) -> None:
        if self.algorithm not in METHODS:
            raise Invalid("training.algorithm", self.algorithm, f"choose one of {', '.join(METHODS)}")
        if self.precision not in PRECISIONS:
            raise Invalid("training.precision", self.precision, f"choose one of {', '.join(PRECISIONS)}")
        if self.restart not in RESTARTS:
            raise Invalid("training.restart", self.restart, f"choose one of {', '.join(RESTARTS)}")


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """The tables. `demos` is never rate limited; `online` is."""

    min_items: int = 300  # of `online`, in all shards together, before the first sample; about 15 episodes
    samples_per_insert: float = 7.0  # about an episode for every four joint updates, whatever the machine
    slack: float = 8_000.0  # samples by which either side may be ahead
    human_priority: float = 2.0  # of items whose first step a person acted on, against 1 for the others


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Fixed held-out seeds: `first_seed` onwards; training seeds lie below."""

    episodes_per_task: int = 50  # before and after the joint stage
    interim_episodes_per_task: int = 8  # at published versions in between, for the curve
    interim_every: int = 4  # published policies between interim evaluations
    first_seed: int = 2_000_000  # tasks and updates were chosen on seeds from one million up


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run. `ramp run --help` lists the recipes, `ramp run --show` prints one with all its numbers."""

    seed: int = 0  # of everything random in the run; the starts of evaluations do not depend on it
    tasks: tuple[str, ...] = (  # names of the suite env.suite; one policy learns all of them
        "drawer-open-v3",
        "button-press-topdown-v3",
        "door-open-v3",
        "window-open-v3",
        "reach-v3",
    )
    env: EnvConfig = field(default_factory=EnvConfig)
    world: WorldConfig = field(default_factory=WorldConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    value: ValueConfig = field(default_factory=ValueConfig)
    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    demos: DemosConfig = field(default_factory=DemosConfig)
    takeover: TakeoverConfig = field(default_factory=TakeoverConfig)
    boundaries: BoundaryConfig = field(default_factory=lambda: BoundaryConfig(motion_width=3))
    stages: StagesConfig = field(default_factory=StagesConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    sampling: ReplayConfig = field(default_factory=ReplayConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
