"""Every alert: what is compared with which number, for how long, how bad it is. Panels draw the same numbers.

An expression ends in its comparison, so that whoever installs the rules can put another number there (the chart does,
from monitoring.prometheusRule.thresholds). Each has a runbook, docs/runbooks/<name>.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from services.common import metrics as m
from services.dashboards import figures
from services.dashboards.queries import ALERTS, asked_by, grown, over, per_second, ratio

HOUR, DAY = 3600, 86_400
DISK_HOURS = 24  # ahead, in which a volume must not fill
FRESH_PROMOTION_S = 6 * HOUR  # in which a fall of success is laid to a promotion
ENOUGH_EPISODES = 20  # in the window; below, a share says nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """`figure` is written for any scope; of the alert it is asked over `window`."""

    name: str
    figure: Callable[[], str]
    above: bool = True  # whether the alert is about what lies above the bound, or below
    bound: float
    unit: str  # of the bound, as Grafana calls it
    lasting: str  # for how long
    severity: Literal["page", "warning"]
    summary: str
    description: str
    window: str = "5m"

    @property
    def expression(self) -> str:
        with asked_by(ALERTS), asked_by(over(self.window)):
            return f"{_closed(self.figure())} {'>' if self.above else '<'} {self.bound:g}"

    @property
    def runbook(self) -> str:
        return f"docs/runbooks/{self.name}.md"


def _closed(figure: str) -> str:
    """Binds more strongly than a comparison."""
    return f"({figure})"


def _success_fall() -> str:
    """How far success on rollouts lies below what it was before, while a promotion is fresh."""
    episodes = grown(m.ACTOR_EPISODES, purpose="rollout")
    fall = f"{figures.success(offset='6h')} - {figures.success()}"
    fresh = f"({figures.promoted_for()} < {FRESH_PROMOTION_S})"
    return f"({fall}) and on (namespace, release) {fresh} and on (namespace, release) ({episodes} > {ENOUGH_EPISODES})"


def _more_interventions() -> str:
    """People's share of the steps now, relative to that of the day."""
    now = figures.interventions()
    with asked_by(over("1d")):
        usual = figures.interventions()
    steps = per_second(m.ACTOR_STEPS, source="human")
    return f"{ratio(now, usual)} and on (namespace, release) ({steps} > 0)"


REPLAY_DOWN = Alert(
    name="RampReplayDown",
    figure=figures.down,
    bound=0,
    unit="short",
    lasting="1m",
    severity="page",
    summary="{{ $value }} replay servers of {{ $labels.release }} do not answer",
    description="Producers spool, learners draw from the shards that are left; without any of them learning stands.",
)
DISK_FILLING = Alert(
    name="RampDiskFilling",
    figure=lambda: figures.predicted_free(DISK_HOURS),
    above=False,
    bound=1e9,
    unit="bytes",
    lasting="15m",
    severity="page",
    summary="The volume of {{ $labels.shard }} of {{ $labels.release }} will be full within a day",
    description="A full volume refuses appends; what is stored is served on.",
)
LEARNER_STARVED = Alert(
    name="RampLearnerStarved",
    figure=figures.waiting,
    bound=0.5,
    unit="percentunit",
    lasting="10m",
    severity="warning",
    summary="Learners of {{ $labels.release }} wait {{ $value | humanizePercentage }} of their time",
    description="They have no data: producers are too slow or held back, replay is slow, or a shard is away.",
)
STALLED = Alert(
    name="RampStalled",
    figure=figures.stalled,
    bound=900,
    unit="s",
    lasting="2m",
    severity="page",
    summary="{{ $labels.stage }} of {{ $labels.release }} has not got on for {{ $value | humanizeDuration }}",
    description="The process lives and stands still in this stage.",
)
STALE = Alert(
    name="RampStaleExperience",
    figure=figures.behind,
    bound=20,
    unit="short",
    lasting="15m",
    severity="warning",
    summary="{{ $labels.robot }} of {{ $labels.release }} acts by a policy that is {{ $value }} publications old",
    description="What it brings tells little about the policy that is trained now.",
)
REWINDS = Alert(
    name="RampNanRewinds",
    figure=figures.rewinds,
    bound=0,
    unit="short",
    lasting="0m",
    severity="warning",
    window="30m",
    summary="The learner of {{ $labels.release }} went back to a checkpoint",
    description="Three updates in a row, or a weight, were not finite.",
)
VALUE_DRIFT = Alert(
    name="RampValueDrift",
    figure=figures.value_error,
    bound=0.25,
    unit="percentunit",
    lasting="30m",
    severity="warning",
    window="30m",
    summary="The world model of {{ $labels.release }} misjudges remaining time by {{ $value | humanizePercentage }}",
    description="Advantages, and so what the policy learns from, rest on these values.",
)
SUCCESS_FALL = Alert(
    name="RampSuccessRegression",
    figure=_success_fall,
    bound=0.1,
    unit="percentunit",
    lasting="10m",
    severity="page",
    window="1h",
    summary="Success in {{ $labels.release }} fell by {{ $value | humanizePercentage }} after a promotion",
    description="Robots act by a policy that is worse than the one before.",
)
INTERVENTIONS = Alert(
    name="RampInterventionSpike",
    figure=_more_interventions,
    bound=2,
    unit="short",
    lasting="15m",
    severity="warning",
    window="30m",
    summary="People act {{ $value | humanize }} times as often in {{ $labels.release }} as over the day",
    description="The policy fails where it did not, or something about the robots or their surroundings has changed.",
)
ROBOT_SILENT = Alert(
    name="RampRobotSilent",
    figure=lambda: figures.silence("robot"),
    bound=900,
    unit="s",
    lasting="5m",
    severity="warning",
    summary="{{ $labels.robot }} of {{ $labels.release }} has been silent for {{ $value | humanizeDuration }}",
    description="It appended within the last day and appends no more: switched off, cut off, or held back.",
)
CERTIFICATE = Alert(
    name="RampCertificateExpiry",
    figure=figures.certificate_left,
    above=False,
    bound=7 * DAY,
    unit="s",
    lasting="1h",
    severity="page",
    summary="A certificate ({{ $labels.what }}) of {{ $labels.release }} expires in {{ $value | humanizeDuration }}",
    description="From then on no client connects any more.",
)
BACKUP_OLD = Alert(
    name="RampBackupTooOld",
    figure=figures.backup_age,
    bound=2 * DAY,
    unit="s",
    lasting="1h",
    severity="warning",
    summary="The last backup of {{ $labels.shard }} of {{ $labels.release }} is {{ $value | humanizeDuration }} old",
    description="What was stored since exists once.",
)

EVERY: tuple[Alert, ...] = (
    REPLAY_DOWN,
    DISK_FILLING,
    LEARNER_STARVED,
    STALLED,
    STALE,
    REWINDS,
    VALUE_DRIFT,
    SUCCESS_FALL,
    INTERVENTIONS,
    ROBOT_SILENT,
    CERTIFICATE,
    BACKUP_OLD,
)
