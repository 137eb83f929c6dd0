"""How often and how fast: success with an interval, time to success, throughput; per task and over all of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ramp.errors import Invalid
from ramp.types import EpisodeSummary, Outcome

POOLED = "all tasks"


@dataclass(frozen=True, kw_only=True, slots=True)
class SuccessResult:
    """What a set of episodes shows. Seconds and hours are the robot's own time: steps over its control rate, failures
    included, resets not.

    Example: SuccessResult(task="door-open-v3", episodes=50, successes=40, rate=0.8, low=0.67, high=0.89,
                           mean_steps_to_success=91.0, mean_seconds_to_success=1.14, successes_per_hour=1910.0)
    """

    task: str
    episodes: int
    successes: int
    rate: float  # 0 where there are no episodes
    low: float  # 95 % Wilson interval
    high: float
    mean_steps_to_success: float | None  # None without a success
    mean_seconds_to_success: float | None
    successes_per_hour: float

    def lies_above(self, other: SuccessResult) -> bool:
        """Whether this interval begins where the other's has ended."""
        return self.low > other.high


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Success per task, sorted by name, and of all episodes together."""

    tasks: tuple[SuccessResult, ...]
    pooled: SuccessResult

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Raises Invalid where the text is not what to_json wrote."""
        try:
            fields: dict[str, Any] = json.loads(text)
            tasks = tuple(SuccessResult(**task) for task in fields["tasks"])
            return cls(tasks=tasks, pooled=SuccessResult(**fields["pooled"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise Invalid("evaluation", text[:80], f"give what to_json wrote ({error})") from error


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a success rate; (0, 1) without trials. Raises Invalid for impossible counts."""
    if not 0 <= successes <= trials:
        raise Invalid("successes", f"{successes} of {trials}", "count between 0 and the number of trials")
    if trials == 0:
        return 0.0, 1.0
    rate, spread = successes / trials, z * z / trials
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials))
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    return low, 1.0 if successes == trials else min(centre + half, 1.0)


def success_result(task: str, episodes: Sequence[EpisodeSummary], control_hz: float) -> SuccessResult:
    """Figures of these episodes, whatever their tasks. Raises Invalid where control_hz is not positive."""
    if not control_hz > 0:
        raise Invalid("control_hz", control_hz, "give the robot's control steps per second")
    won = [episode.steps for episode in episodes if episode.outcome == Outcome.SUCCESS]
    low, high = wilson(len(won), len(episodes))
    hours = sum(episode.steps for episode in episodes) / control_hz / 3600
    steps = sum(won) / len(won) if won else None
    return SuccessResult(
        task=task,
        episodes=len(episodes),
        successes=len(won),
        rate=len(won) / len(episodes) if episodes else 0.0,
        low=low,
        high=high,
        mean_steps_to_success=steps,
        mean_seconds_to_success=None if steps is None else steps / control_hz,
        successes_per_hour=len(won) / hours if hours else 0.0,
    )


def evaluate(episodes: Iterable[EpisodeSummary], control_hz: float) -> Evaluation:
    """Success per task and pooled. Pooling weighs episodes alike, so give every task the same number."""
    episodes = list(episodes)
    names = sorted({episode.task for episode in episodes})
    by_task = {name: [episode for episode in episodes if episode.task == name] for name in names}
    return Evaluation(
        tasks=tuple(success_result(name, by_task[name], control_hz) for name in names),
        pooled=success_result(POOLED, episodes, control_hz),
    )
