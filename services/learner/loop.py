"""RAMP's four stages as one resumable loop. This is the learner; the other files of the room are its parts.

    demos    wait until every task has its demonstrations; read schema and normalisation off them
    world    stage 1: the tokenizer (unless it stays as published), then, frozen, the predictor of futures and value;
             publish; label everything
    policy   stage 2: the policy, conditioned on the published world model's tokens and the indicator; publish
    joint    stages 3 and 4: while actors collect, policy updates on demonstrations and fresh experience, a world-model
             update now and then; publish both by and by; relabel in the background. A published world model begins a
             round: both go on training, or begin again from what stages 1 and 2 published (training.restart)
    done     the last versions have the alias `final`

Every worker runs the same loop. Worker 0 alone publishes, relabels, writes checkpoints and speaks; what depends on the
world outside (data, stop requests) is agreed upon before each update, so that no worker waits alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from functools import partial

import torch

from ramp.errors import Full, Timeout, Unavailable
from ramp.models.manifest import policy_manifest, world_manifest
from ramp.recipes.recipe import DEMONSTRATIONS, MixtureConfig
from ramp.types import Kind
from services.common import metrics
from services.learner.basis import find_basis
from services.learner.batches import Mixture, policy_batches, shares, world_batches
from services.learner.context import Context
from services.learner.divergence import DivergedError
from services.learner.engine import agree, from_first, rank, share_buffers, workers
from services.learner.newcomers import Newcomers
from services.learner.pretrained import STAGE2, Pretrained
from services.learner.progress import DEMOS, DONE, JOINT, POLICY, WORLD, Progress, total
from services.learner.publish import finite
from services.learner.published import PublishedWorld
from services.learner.relabel import Relabeller
from services.learner.rewinds import Rewinds
from services.learner.sampled import Sampled
from services.learner.tokenizer_file import keep_tokenizer
from services.learner.trainer import POLICY as POLICY_MODEL
from services.learner.trainer import PREDICTOR, TOKENIZER, Trainer

LOG = logging.getLogger(__name__)

POLL_S = 0.25  # longest wait for data before the other workers are asked how they are
LABEL_S = 1.0  # of labelling before the other workers are told that worker 0 is alive


class Learner:
    """One worker. `run` returns when the run is done or was asked to stop; killed, the next life goes on."""

    def __init__(self, context: Context) -> None:
        self._at = context
        self._settings = context.settings
        self._says = context.telemetry
        self.progress = Progress()
        self._trainer: Trainer | None = None
        self._world: PublishedWorld | None = None
        self._relabeller: Relabeller | None = None
        self._newcomers = Newcomers(self._settings.advantage.failure_penalty)
        self._rewinds = Rewinds(context.checkpoints)
        self._pretrained = Pretrained(self._settings.training.restart, context.registry)
        self._saved_at = 0  # updates of the stage at the last checkpoint

    def run(self) -> None:
        """Raises RampError where the run can't go on, DivergedError where no other life of it could either."""
        stages: dict[str, Callable[[], None]] = {
            DEMOS: self._wait_for_demonstrations,
            WORLD: self._pretrain_world_model,
            POLICY: self._train_policy,
            JOINT: self._train_jointly,
        }
        self._restore()
        while self.progress.stage != DONE and not self._must_stop():
            self._announce()
            try:
                stages[self.progress.stage]()
            except DivergedError as error:
                self._rewind(error)
        with suppress(DivergedError):  # then the checkpoint before is the last one
            self._checkpoint()
        self._announce()
        metrics.idle("learner")
        if self._relabeller is not None:
            self._relabeller.close()

    # ------------------------------------------------------------------------------------------- stages

    def _wait_for_demonstrations(self) -> None:
        """Enough episodes in the table `demos`; schema and normalisation are read off them once."""
        while not from_first(int(rank() == 0 and self._read_demonstrations())):
            if self._must_stop():
                return
            with self._says.spent("wait"):
                time.sleep(POLL_S)
            self._says.tell(self.progress)
        self._found()
        self._enter(WORLD)

    def _pretrain_world_model(self) -> None:
        """Stage 1 on the demonstrations, uniformly."""
        first, last = self._settings.stages.tokenizer_updates, total(WORLD, self._settings)
        if first and self.progress.update <= first:
            self._models.engine(TOKENIZER)  # takes up its state, also where a checkpoint followed its last update
            with self._windows(DEMONSTRATIONS, ahead=False) as frames:
                if not self._updates(first, lambda: self._update(TOKENIZER, frames)):
                    return
            share_buffers(self._models.world)
            self._models.drop(TOKENIZER)
            self._models.engine(PREDICTOR)
        with self._windows(DEMONSTRATIONS) as windows:
            if not self._updates(last, lambda: self._update(PREDICTOR, windows)):
                return
        self._publish_world()
        self._label_everything()
        self._enter(POLICY)

    def _train_policy(self) -> None:
        """Stage 2 on the demonstrations, by priority."""
        with self._chunks(DEMONSTRATIONS) as chunks:
            if not self._updates(total(POLICY, self._settings), lambda: self._update(POLICY_MODEL, chunks)):
                return
        self._publish_policy("latest", STAGE2)
        self._pretrained.begin_round(self._models)
        self._enter(JOINT)

    def _train_jointly(self) -> None:
        """Stages 3 and 4: actors collect meanwhile, and nobody waits for a round to end."""
        torch.set_num_threads(self._settings.learner.joint_threads)
        mixture = self._settings.training.mixture
        with self._chunks(mixture) as chunks, self._windows(mixture.real()) as windows:
            if not self._updates(total(JOINT, self._settings), partial(self._joint_update, chunks, windows)):
                return
        self._publish_policy("latest", "final")
        self._point_final_world()
        self._enter(DONE)

    def _joint_update(self, chunks: Mixture, windows: Mixture) -> bool | None:
        training, last = self._settings.training, total(JOINT, self._settings)
        applied = self._update(POLICY_MODEL, chunks)
        if not applied:
            return applied
        done = self.progress.update + 1
        if done % training.world_every == 0:
            self._update(PREDICTOR, windows)
        if done % training.publish_every == 0 and done < last:
            self._publish_policy("latest")
        if done % training.relabel_every == 0 and done < last:
            before = self.progress.world_version
            self._publish_world()
            if self.progress.world_version != before:
                self._pretrained.begin_round(self._models)
        return True

    # ------------------------------------------------------------------------------------------ updates

    def _updates(self, until: int, update: Callable[[], bool | None]) -> bool:
        """Repeat `update` until the stage has that many applied ones; False when asked to stop before."""
        while self.progress.update < until:
            applied = update()
            if applied is None:
                return False
            self.progress.update += int(applied)
            self._relabel_a_little()
            if self.progress.update - self._saved_at >= self._settings.learner.checkpoint_every:
                self._checkpoint()
            self._says.tell(self.progress)
        return True

    def _update(self, model: str, source: Mixture) -> bool | None:
        """One update; False where it was left out, None where a stop was requested instead of data."""
        sampled = self._next(source)
        if sampled is None:
            return None
        world = self._world if model == POLICY_MODEL else None
        with self._says.spent("update"):
            applied, report = self._models.update(model, sampled, world)
        if applied:
            self._says.updated(model, report, self.progress)
            if model == POLICY_MODEL:
                self._newcomers.trained(sampled.keys)
        acted = [version for version in sampled.policy_versions if version]
        if acted and model == POLICY_MODEL:
            age = self.progress.policy_version - sum(acted) / len(acted)
            metrics.LEARNER_POLICY_AGE.set(age)
            self._says.observe("policy_age", age)
        return applied

    def _next(self, source: Mixture) -> Sampled | None:
        """The next batch, as soon as every worker has one; None once worker 0 was asked to stop."""
        sampled: Sampled | None = None
        while True:
            with self._says.spent("wait"):
                sampled = sampled or source.poll(POLL_S)
                ready, going = agree(sampled is not None, not (rank() == 0 and self._says.stop_requested()))
            if not going:
                return None
            if ready:
                return sampled
            self._relabel_a_little()
            self._says.tell(self.progress)

    def _relabel_a_little(self) -> None:
        if self._relabeller is not None:
            with self._says.spent("relabel"):
                self._relabeller.slice()

    # ---------------------------------------------------------------------------------------- publishing

    def _publish_policy(self, *aliases: str) -> None:
        """Averaged weights, with the world model they were trained with. All workers go on when it is there, or raise
        DivergedError together."""
        models, engine = self._models, self._models.engine(POLICY_MODEL)
        models.check()
        basis = self._at.basis
        manifest = policy_manifest(models.policy, basis.normalizer, models.told, basis.thoughts)
        manifest |= self._origin(Kind.POLICY, engine.updates)
        number = self.progress.policy_version
        if rank() == 0:
            with self._says.spent("publish"):
                try:
                    number = self._at.publisher.publish(Kind.POLICY, engine.weights(averaged=True), manifest, aliases)
                    self._newcomers.published()
                except Full as error:
                    if aliases != ("latest",):
                        raise
                    LOG.error("a policy was not published: %s", error)
        self.progress.policy_version = from_first(number)

    def _publish_world(self) -> None:
        """Publish, and take it from the registry like everybody else: policy and actors must see the same tokens."""
        models, engine = self._models, self._models.engine(PREDICTOR)
        models.check()
        manifest = world_manifest(models.world, self._at.basis.normalizer) | self._origin(Kind.WORLD, engine.updates)
        number = self.progress.world_version
        if rank() == 0:
            with self._says.spent("publish"):
                try:
                    number = self._at.publisher.publish(Kind.WORLD, engine.weights(), manifest, ("latest",))
                except Full as error:
                    if not number:
                        raise
                    LOG.error("a world model was not published: %s", error)
        self._use_world(from_first(number))

    def _use_world(self, number: int) -> None:
        """The policy's tokens and the labels come from this version from now on."""
        self.progress.world_version = number
        if number and (self._world is None or self._world.version != number):
            models = self._models
            self._world = PublishedWorld.from_registry(
                self._at.registry, number, models.device, models.latents, bfloat16=models.bfloat16
            )
            if self._relabeller is not None:
                self._relabeller.use(self._world)

    def _point_final_world(self) -> None:
        """The world model that belongs to the final policy."""
        if rank() == 0:
            self._at.publisher.point(Kind.WORLD, self.progress.world_version, ("final",))

    def _origin(self, kind: Kind, update: int) -> dict[str, object]:
        parent = self._pretrained.versions().get(kind) if self.progress.stage == JOINT else None
        return ({"parent": parent} if parent else {}) | {
            "stage": self.progress.stage,
            "tables": self._drawn_from(),
            "update": update,
            "world_version": self.progress.world_version,
            "metrics": finite(self._says.means),
        }

    def _drawn_from(self) -> list[str]:
        """Tables that the weights have learnt from, in this stage or before it."""
        mixture = self._settings.training.mixture if self.progress.stage == JOINT else DEMONSTRATIONS
        joint = [each.name for each in fields(mixture) if getattr(mixture, each.name) > 0]
        return sorted({"demos", *joint})

    def _label_everything(self) -> None:
        """Before stage 2 begins, every demonstration has its indicator. Other workers wait, and hear from worker 0
        every LABEL_S, however long it takes. What a stop leaves undone is done in slices after the resume."""
        while not from_first(int(self._has_labelled())):
            self._says.tell(self.progress)

    def _has_labelled(self) -> bool:
        """Worker 0 labels for a moment; whether it has done all, or was asked to stop."""
        if self._relabeller is None:
            return True
        with self._says.spent("relabel"):
            return self._relabeller.work(LABEL_S) or self._says.stop_requested()

    # ------------------------------------------------------------------------------------- coming and going

    def _restore(self) -> None:
        """Go on from the newest whole checkpoint; worker 0 says which that is."""
        number = from_first(self._at.checkpoints.newest() if rank() == 0 else 0)
        if not number:
            return
        plain, states = self._at.checkpoints.load(number)
        self.progress = Progress.from_plain(plain)
        LOG.info("going on from checkpoint %d: %s, update %d", number, self.progress.stage, self.progress.update)
        if self.progress.stage != DEMOS:
            self._found(states)
            self._saved_at = self.progress.update

    def _found(self, states: dict | None = None) -> None:
        """Models on the basis that the demonstrations gave."""
        self._at.read_basis()
        self._trainer = Trainer(self._settings, self._at.basis, states or {}, spent=self._says.spent)
        if rank() == 0:
            self._relabeller = Relabeller(self._at.replay, self._at.basis.normalizer, self._newcomers)
        self._world = None
        self._use_world(self.progress.world_version)
        if self.progress.stage in (POLICY, JOINT):
            self._models.engine(PREDICTOR)

    def _rewind(self, error: DivergedError) -> None:
        self._rewinds.prepare(error)
        if self._relabeller is not None:
            self._relabeller.close()
        self.progress, self._trainer, self._world, self._relabeller = Progress(), None, None, None
        self._restore()

    def _enter(self, stage: str) -> None:
        self.progress.enter(stage)
        LOG.info("stage %s", stage)
        self._checkpoint()
        self._says.tell(self.progress, now=True)

    def _checkpoint(self) -> None:
        """All workers give their part, worker 0 writes. A full disk does not stop the training. Raises DivergedError
        where the weights are nothing to come back to."""
        if self._trainer is None:
            return
        self._trainer.check()
        with self._says.spent("checkpoint"):
            states = self._trainer.states()
            if rank() == 0:
                try:
                    self._at.checkpoints.save(self.progress.plain(), states)
                except OSError as error:
                    LOG.error("no checkpoint: %s", error)
            self._saved_at = self.progress.update
            from_first(0)

    def _must_stop(self) -> bool:
        return bool(from_first(int(rank() == 0 and self._says.stop_requested())))

    def _announce(self) -> None:
        self._says.announce(self.progress, total(self.progress.stage, self._settings))
        self._says.tell(self.progress, now=True)

    @property
    def _models(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError("models exist from stage world on")
        return self._trainer

    # -------------------------------------------------------------------------------------------- batches

    def _read_demonstrations(self) -> bool:
        """Whether they are complete; if so, what they have in common is written down for all workers."""
        wanted = self._settings.demos.episodes_per_task
        try:
            table = self._at.replay.info().table("demos")
            if table is None or any(table.episodes_by_task.get(task, 0) < wanted for task in self._settings.tasks):
                return False
            keep_tokenizer(self._settings.policy, self._at.basis_path.parent)
            find_basis(self._at.replay, self._settings.policy).write(self._at.basis_path)
        except (Unavailable, Timeout) as error:
            LOG.warning("the demonstrations cannot be read now: %s", error)
            return False
        return True

    def _chunks(self, mixture: MixtureConfig) -> Mixture:
        """For the policy."""
        rows = shares(self._settings.training.policy_batch, mixture, workers())
        return policy_batches(self._at.replay, self._settings, self._at.basis, rows, self._at.prompts)

    def _windows(self, mixture: MixtureConfig, *, ahead: bool = True) -> Mixture:
        """For tokenizer and world model, which alone looks `ahead`."""
        rows = shares(self._settings.training.world_batch, mixture, workers())
        horizons = tuple(self._settings.world.foreseen) if ahead else ()
        return world_batches(self._at.replay, self._settings, self._at.basis, rows, horizons)
