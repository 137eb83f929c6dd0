"""The loop's figures as PromQL, each written once: panels show them, alerts compare them.

A figure is of each run (namespace, release); `by` adds labels. Whose series and which window they are over is the
caller's (`queries.asked_by`).
"""

from __future__ import annotations

from services.common import metrics as m
from services.dashboards.queries import (
    grown,
    mean,
    now,
    per_second,
    quantile,
    ratio,
    scraped,
    seconds_since,
    series,
    share,
)

RELEASE_SHARE = 0.9  # of new episodes that are in a policy within the release time

# ------------------------------------------------------------------------------------------- experience


def experience() -> str:
    """Steps a second that replay receives, by source."""
    return per_second(m.REPLAY_APPENDED_STEPS, "source")


def success(*by: str, purpose: str = "rollout", offset: str = "") -> str:
    """Share of episodes that succeeded."""
    good = grown(m.ACTOR_EPISODES, *by, purpose=purpose, outcome="success", offset=offset)
    return share(good, grown(m.ACTOR_EPISODES, *by, purpose=purpose, offset=offset))


def interventions(*by: str) -> str:
    """Share of the steps of rollouts at which a person acted."""
    human = grown(m.ACTOR_STEPS, *by, source="human")
    return share(human, grown(m.ACTOR_STEPS, *by, source="human|policy"))


def takeovers(*by: str) -> str:
    """Times that a person took over, an episode."""
    return share(grown(m.ACTOR_TAKEOVERS, *by), grown(m.ACTOR_EPISODES, *by, purpose="rollout"))


def silence(*by: str) -> str:
    """Seconds since a robot's last append, the longest."""
    return seconds_since(now(m.REPLAY_ROBOT_HEARD, *by, how="max"))


def behind() -> str:
    """Published policies since the one that a robot acted by, of those furthest behind."""
    newest = now(m.LEARNER_VERSION, how="max", kind="policy")
    acted = now(m.REPLAY_ROBOT_POLICY, "robot", how="max")
    return f"{newest} - on (namespace, release) group_right () {acted}"


# --------------------------------------------------------------------------------------------- learner


def busy(*by: str) -> str:
    """Seconds of learner workers a second, by what they did."""
    return per_second(m.LEARNER_SECONDS, "what", *by)


def waiting() -> str:
    """Share of the learner's time in which it waited for data."""
    return share(per_second(m.LEARNER_SECONDS, what="wait"), per_second(m.LEARNER_SECONDS))


def staleness() -> str:
    """Published policies between the one that acted and the newest, mean of what is trained with."""
    return now(m.LEARNER_POLICY_AGE, how="max")


def rewinds() -> str:
    """Returns to a checkpoint."""
    return grown(m.LEARNER_REWINDS, component="learner")


def value_error(*by: str) -> str:
    """Mean distance of predicted and true remaining time on new episodes, in shares of the time limit."""
    return mean(m.LEARNER_VALUE_ERROR, *by)


def imagined_error() -> str:
    """Squared error of imagined futures, relative to imagining that nothing changes."""
    return ratio(per_second(m.LEARNER_IMAGINED_ERROR, "horizon"), per_second(m.LEARNER_IMAGINED_CHANGE, "horizon"))


def release_time(share_of: float) -> str:
    """Seconds from the end of an episode to a published policy that was trained with it."""
    return quantile(share_of, m.LEARNER_RELEASE_SECONDS)


# ---------------------------------------------------------------------------------------------- replay


def samples_per_insert() -> str:
    """Items drawn for one that came in, by table."""
    drawn = per_second(m.REPLAY_SAMPLED_ITEMS, "table")
    return ratio(drawn, per_second(m.REPLAY_INSERTED_ITEMS, "table"))


def down() -> str:
    """Replay servers that do not answer; of a run that has none at all, 1."""
    up = "sum by (namespace, release)"
    unreachable = f"{up} ({scraped('up', component='replay')} == bool 0)"
    missing = f"{up} ({scraped('up', component='conductor')}) unless on (namespace, release) {unreachable}"
    return (
        f"(({unreachable} > 0) or (({missing}) > 0) or ({now(m.CONDUCTOR_AWAY, how='max')} > 0) or 0 * {unreachable})"
    )


def predicted_free(hours: int) -> str:
    """Bytes that a shard's volume will take in so many hours, if it fills as it did in the last one."""
    return f"predict_linear({series(m.REPLAY_DISK_FREE)}[1h], {3600 * hours})"


def backup_age() -> str:
    """Seconds since the last backup, the longest of all shards."""
    return seconds_since(now(m.REPLAY_BACKUP, "shard", how="min"))


def failed_calls() -> str:
    """Share of calls that the server could not answer; a refusal of what was asked is an answer."""
    broken = "INTERNAL|UNKNOWN|UNAVAILABLE|DATA_LOSS|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED"
    return share(per_second(m.GRPC_CALLS, code=broken), per_second(m.GRPC_CALLS))


def seats(*by: str) -> str:
    """Share of the calls at a door that may be answered at the same time."""
    return ratio(now(m.GRPC_INFLIGHT, "door", "pod", *by), now(m.GRPC_LIMIT, "door", "pod", *by))


# ---------------------------------------------------------------------------------------------- process


def stalled() -> str:
    """Seconds since a stage of a process last got on, the longest by stage."""
    return seconds_since(now(m.PROGRESS_CLOCK, "stage", how="min"))


def certificate_left() -> str:
    """Seconds until a certificate expires, the shortest."""
    return f"{now(m.CERTIFICATE_EXPIRY, 'component', 'what', how='min')} - time()"


# ---------------------------------------------------------------------------------------------- release


def promoted_for() -> str:
    """Seconds since the alias `stable` was moved."""
    return seconds_since(now(m.REGISTRY_PROMOTED, how="max", alias="stable"))
