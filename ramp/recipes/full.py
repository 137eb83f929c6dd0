"""Both models at full size: PaliGemma-2 3B and Wan2.2-TI2V-5B, on machines with GPUs.

Where RAMP's paper (2602.12099) gives a number it stands here with its section. Where the paper is silent, the number is
that of the nearest published work, named behind it; "ours" marks what nobody gives. The models' own numbers stand in
ramp/models/vla/paligemma_config.py and ramp/models/world/wan_config.py.
"""

from __future__ import annotations

from ramp.advantage.config import AdvantageConfig
from ramp.envs.config import EnvConfig
from ramp.models.vla.paligemma_config import PaliGemmaConfig
from ramp.models.world.wan_config import WanConfig
from ramp.recipes.recipe import (
    DemosConfig,
    MixtureConfig,
    Recipe,
    ReplayConfig,
    StagesConfig,
    TakeoverConfig,
    TrainingConfig,
)


def full() -> Recipe:
    """The default tasks, learnt by the models that the paper learns with."""
    return Recipe(
        env=EnvConfig(
            image_size=224,  # what PaliGemma-2 sees (GigaBrain-0: 224)
            frame_stride=2,  # ours: divides the chunk and the horizons
            max_steps=500,  # Meta-World's own limit
        ),
        world=WanConfig(
            horizons=(12, 24, 36, 48),  # RAMP, stage 1
            value_weight=1.0,  # ViVa; RAMP weighs nothing
            proprio_weight=0.5,  # ViVa
            visual_weight=1.0,  # ViVa's of the value; it predicts no pictures
            share_zero=0.5,  # ours: inference takes its one step from there
        ),
        policy=PaliGemmaConfig(
            chunk=50,  # GigaBrain-0
            ode_steps=10,  # GigaBrain-0
            mask_indicator=0.2,  # RAMP, stage 4
            mask_world=0.2,  # RAMP, stages 2 and 4; independent of the indicator's, as in GigaBrain-0.7
            guidance=1.0,  # RECAP's default; 1.5 to 2.5 is its moderate range
            insulation=1.0,  # GigaBrain-0.7's post-training: the whole gradient
            shift=0,  # ours: nobody names an augmentation
        ),
        advantage=AdvantageConfig(
            n_steps=50,  # RECAP, appendix F; also the chunk
            failure_penalty=1.0,  # ViVa: one whole episode
            demo_positive=0.3,  # RECAP, appendix F
            rollout_positive=0.4,  # RECAP, appendix F
        ),
        demos=DemosConfig(episodes_per_task=50),  # ours
        takeover=TakeoverConfig(patience=2),  # ours: a decision lasts 50 steps
        stages=StagesConfig(
            tokenizer_updates=0,  # Wan2.2's autoencoder stays as published (RAMP, stage 1: a pre-trained VAE)
            world_updates=50_000,  # GigaWorld-Policy's on the same transformer; RAMP gives none
            policy_updates=60_000,  # RAMP, multi-task training with world-model conditioning
            joint_updates=20_000,  # RAMP, post-training
        ),
        training=TrainingConfig(
            policy_batch=256,  # RAMP, post-training
            world_batch=192,  # ViVa
            policy_lr=2.5e-5,  # GigaBrain-0
            world_lr=4e-5,  # ViVa
            weight_decay=0.01,  # ViVa, for the world model; GigaBrain-0 has 1e-10 for the policy
            warmup=1000,  # GigaBrain-0
            world_warmup=500,  # ViVa
            beta2=0.95,  # GigaBrain-0 and ViVa
            final_lr=0.1,  # GigaBrain-0
            grad_clip=1.0,  # ViVa
            precision="bfloat16",  # GigaWorld-Policy
            ema=0.995,  # RISE; GigaBrain-0 averages too, without saying how fast
            mixture=MixtureConfig(demos=0.5, online=0.5),  # ours
            world_every=4,  # ours: RAMP trains both together and does not say how often
            publish_every=1000,  # ours: a version has 7 GB
            relabel_every=5000,  # ours: a version has 11 GB, and labels everything anew
        ),
        sampling=ReplayConfig(min_items=2000),  # ours: about eight episodes
    )
