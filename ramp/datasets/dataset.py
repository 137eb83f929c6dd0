"""A LeRobot folder as episodes: its own sidecars say what is known, the reader says what only he knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ramp.datasets import stats
from ramp.datasets.index import Place, load_places, load_tasks
from ramp.datasets.layout import ACTION, INFO, STATE, STATS, Info, load_info, load_json, wrong
from ramp.datasets.pictures import from_picture, read_video
from ramp.datasets.rows import Rows
from ramp.datasets.sidecars import INTERVENTIONS, STEPS, THOUGHTS, Sidecars
from ramp.types import Episode, EpisodeHeader, Outcome, Source, StepBatch, StepSchema

STEP_REWARD = -1.0  # RAMP Eq. 5; a stranger's reward means something else
NUMBERS = ("timestamp", "task_index")
CLAIMS = ("next.reward", "next.success", "next.done")
TAKEOVERS = ("info.is_intervention", "complementary_info.is_intervention")  # as others write them
UNFIT = re.compile(r"[^A-Za-z0-9._ -]")

Claim = Literal["success", "failure", "done"]
OUTCOMES: tuple[Claim, ...] = get_args(Claim)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the reader knows better than the folder. None: as the folder says, or where it does not, the default."""

    table: str | None = None  # default: demos
    task: str | None = None  # default: the instruction
    outcome: Claim | None = None  # of every episode; done: success where the last row says next.done
    max_steps: int | None = None  # T_max; default: the longest episode's length
    stride: int = 1  # frames are kept at every so many steps
    cast: bool = False  # round numbers that are not float32
    schema: StepSchema | None = None  # whose bounds of actions a stranger's folder takes; default: the data's range


class Dataset:
    """One folder, read-only. Nothing is read ahead but its meta/."""

    def __init__(self, folder: Path, reading: Reading | None = None) -> None:
        """Raises Invalid with the file, the field and the remedy."""
        self.folder, self.reading = folder, reading or Reading()
        self.info = load_info(folder)
        self._check_features(self.info)
        self.places = load_places(folder, self.info)
        self._tasks = load_tasks(folder, self.info)
        self._sidecars = Sidecars(folder)

    def _check_features(self, info: Info) -> None:
        for key in (STATE, ACTION):
            if key not in info.features:
                raise wrong(INFO, "features", f"no {key}", f"it has {', '.join(sorted(info.features))}; rename one")
        if not info.cameras:
            raise wrong(INFO, "features", "no camera", "policies here see pictures: add one of dtype video or image")

    @property
    def left_out(self) -> list[str]:
        """Features that episodes here have no place for."""
        used = {STATE, ACTION, *NUMBERS, *CLAIMS, *TAKEOVERS, *self.info.cameras.values()}
        return sorted(set(self.info.features) - used - {"frame_index", "episode_index", "index"})

    # ---------------------------------------------------------------------------------------- episodes

    def episode(self, place: Place, *, images: bool = True) -> Episode:
        """Decoded as a whole, or without its images. Raises Invalid."""
        rows = Rows(self.folder, self.info, place, self._columns())
        known = self._sidecars.episode(place.index)
        steps = self._steps(rows, own=bool(known))
        if images:
            found = {camera: self.frames(place, camera, steps.frame_row) for camera in self.info.cameras}
            steps = replace(steps, images=found)
        return Episode(header=self._header(place, rows, known), steps=steps, outcome=self._outcome(rows, known))

    def episode_id(self, place: Place) -> str:
        """The one it had when it was exported, else one that the folder's name and its index make."""
        made = f"{UNFIT.sub('-', self.folder.resolve().name).replace(' ', '-')[:100]}-{place.index:06d}"
        return str(self._sidecars.episode(place.index).get("episode_id", made))

    def _columns(self) -> list[str]:
        return [STATE, ACTION, *NUMBERS, *(key for key in (*CLAIMS, *TAKEOVERS) if key in self.info.features)]

    def _header(self, place: Place, rows: Rows, known: Mapping[str, Any]) -> EpisodeHeader:
        instruction, reading = self._instruction(rows), self.reading
        return EpisodeHeader(
            episode_id=self.episode_id(place),
            task=reading.task or known.get("task") or UNFIT.sub("-", instruction)[:128] or "task",
            instruction=instruction,
            robot=known.get("robot") or UNFIT.sub("-", self.info.robot)[:128] or "unknown",
            seed=known.get("seed", place.index),
            max_steps=reading.max_steps or known.get("max_steps") or self._longest,
            tables=(reading.table,) if reading.table else tuple(known.get("tables", ("demos",))),
            schema=self.schema,
            thoughts=self._sidecars.column("subgoal", THOUGHTS, rows.index, rows.length) is not None,
        )

    def _instruction(self, rows: Rows) -> str:
        found = set(rows.numbers("task_index").tolist())
        if len(found) > 1:
            raise wrong(rows.file, "task_index", f"{len(found)} in episode {rows.index}", "split the episode by task")
        index = found.pop()
        if index not in self._tasks:
            raise wrong(rows.file, "task_index", index, f"the folder's tasks are {sorted(self._tasks)[:16]}")
        return self._tasks[index]

    def _outcome(self, rows: Rows, known: Mapping[str, Any]) -> Outcome:
        claim, features = self.reading.outcome, self.info.features
        if claim == "done" and "next.done" not in features:
            raise wrong(INFO, "features", "no next.done", "give --outcome success or failure")
        if claim == "done":
            success = bool(rows.numbers("next.done")[-1])
        elif claim:
            success = claim == "success"
        elif "success" in known:
            success = known["success"]
        elif "next.success" in features:
            success = bool(rows.numbers("next.success").any())
        else:
            raise wrong(INFO, "features", "no next.success", "say how its episodes ended: --outcome success or failure")
        return Outcome.SUCCESS if success else Outcome.FAILURE

    # ------------------------------------------------------------------------------------------ schema

    @cached_property
    def _longest(self) -> int:
        return max(place.length for place in self.places)

    @cached_property
    def schema(self) -> StepSchema:
        """Cameras and widths as info.json says. Raises Invalid."""
        low, high = self._bounds()
        features = self.info.features
        return StepSchema(
            cameras={name: features[key].shape for name, key in self.info.cameras.items()},  # type: ignore[misc]
            proprio_width=int(np.prod(features[STATE].shape)),
            action_low=low,
            action_high=high,
        )

    def _bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        known = self._sidecars.episode(0) if self.places else {}
        if known:
            return tuple(known["action_low"]), tuple(known["action_high"])
        if self.reading.schema is not None:
            return self.reading.schema.action_low, self.reading.schema.action_high
        actions = self._all(ACTION)
        return tuple(actions.min(axis=0).tolist()), tuple(actions.max(axis=0).tolist())

    def _all(self, key: str) -> np.ndarray:
        """float32 [T, W] of the whole folder."""
        if not self.places:
            raise wrong(INFO, "total_episodes", 0, "there is nothing to read")
        parts = [Rows(self.folder, self.info, place, [key]) for place in self.places]
        return np.concatenate([rows.vectors(key, cast=self.reading.cast) for rows in parts])

    # ------------------------------------------------------------------------------------------- steps

    def _steps(self, rows: Rows, *, own: bool) -> StepBatch:
        """All but the images."""
        length, said = rows.length, self._sidecars
        trainable = said.column("trainable", INTERVENTIONS, rows.index, length)
        version = said.column("policy_version", STEPS, rows.index, length)
        return StepBatch(
            step=np.arange(length, dtype=np.int32),
            timestamp=self._time(rows),
            proprio=rows.vectors(STATE, cast=self.reading.cast),
            action=rows.vectors(ACTION, cast=self.reading.cast),
            reward=rows.numbers("next.reward") if own else np.full(length, STEP_REWARD, np.float32),
            source=self._source(rows),
            trainable=np.ones(length, bool) if trainable is None else trainable,
            policy_version=np.zeros(length, np.int32) if version is None else version,
            frame_row=self._frame_row(rows),
            images={},
            subgoal=said.column("subgoal", THOUGHTS, rows.index, length),
            hand=self._hand(rows),
        )

    def _hand(self, rows: Rows) -> np.ndarray | None:
        """float32 [T, 2]"""
        axes = [self._sidecars.column(name, THOUGHTS, rows.index, rows.length) for name in ("hand_x", "hand_y")]
        found = [axis for axis in axes if axis is not None]
        return np.stack(found, axis=1) if found else None

    def _time(self, rows: Rows) -> np.ndarray:
        """float64 [T]"""
        time = self._sidecars.column("time", STEPS, rows.index, rows.length)
        return rows.numbers("timestamp").astype(np.float64) if time is None else time

    def _source(self, rows: Rows) -> np.ndarray:
        """uint8 [T]: a stranger's steps are demonstrations, unless they say where a person took over."""
        known = self._sidecars.column("source", INTERVENTIONS, rows.index, rows.length)
        if known is not None:
            return known
        for key in TAKEOVERS:
            if key in self.info.features:
                return np.where(rows.numbers(key).astype(bool), Source.HUMAN, Source.POLICY).astype(np.uint8)
        return np.full(rows.length, Source.DEMO, np.uint8)

    def _frame_row(self, rows: Rows) -> np.ndarray:
        """int32 [F]: the rows whose frames are kept."""
        real = self._sidecars.column("has_frame", STEPS, rows.index, rows.length)
        kept = np.arange(rows.length) % self.reading.stride == 0
        return np.flatnonzero(kept if real is None else kept & real).astype(np.int32)

    def frames(self, place: Place, camera: str, at: np.ndarray) -> np.ndarray:
        """uint8 [F, height, width, 3] at the rows `at` [F] of an episode, ascending. Raises Invalid."""
        key = self.info.cameras[camera]
        shape = self.info.features[key].shape
        if not len(at):
            return np.zeros((0, *shape), np.uint8)
        if camera in place.videos:
            path, begin_s = place.videos[camera]
            frames = read_video(path, begin_s, self.info.fps, at)
        else:
            path, rows = place.data, Rows(self.folder, self.info, place, [key])
            frames = np.stack([from_picture(data, f"{rows.file}, {key}") for data in rows.pictures(key, at)])
        if frames.shape[1:] != shape:
            said = f"{frames.shape[1:]} of episode {place.index}"
            raise wrong(str(path.relative_to(self.folder)), key, said, f"info.json says {shape}")
        return frames

    # ----------------------------------------------------------------------------------------- telling

    def describe(self) -> dict[str, Any]:
        """What the folder holds, as JSON takes it; statistics that it lacks are computed. Raises Invalid."""
        rows = [Rows(self.folder, self.info, place, ["task_index"]) for place in self.places]
        tasks = Counter(self._instruction(each) for each in rows)
        return {
            "version": self.info.version,
            "fps": self.info.fps,
            "robot": self.info.robot,
            "episodes": len(self.places),
            "steps": sum(place.length for place in self.places),
            "tasks": dict(tasks),
            "cameras": {camera: list(self.info.features[key].shape) for camera, key in self.info.cameras.items()},
            "left_out": self.left_out,
            "stats": {key: self.stats(key) for key in (STATE, ACTION)},
        }

    def stats(self, key: str) -> dict[str, list[float]]:
        """Of one vector: as meta/stats.json says, completed from the data where it lacks one. Raises Invalid."""
        said = load_json(self.folder, STATS).get(key) if (self.folder / STATS).exists() else None
        width = int(np.prod(self.info.features[key].shape))
        told = said if isinstance(said, dict) else {}
        known = {name: values for name, values in told.items() if _fits(values, width)}
        if set(stats.VECTOR) <= set(known):
            return known
        return stats.plain(stats.of_vectors(self._all(key))) | known


def _fits(values: object, width: int) -> bool:
    return (
        isinstance(values, list) and len(values) in (1, width) and all(isinstance(each, int | float) for each in values)
    )
