"""What a policy and a value model are worth, with the uncertainty that belongs to it."""

from ramp.evaluation.bootstrap import bootstrap_interval, frame_average
from ramp.evaluation.holdout import held_out
from ramp.evaluation.latency import median_seconds
from ramp.evaluation.success import wilson
from ramp.evaluation.values import ValueErrors, average, kendall_tau, value_errors, value_errors_by_task

__all__ = [
    "ValueErrors",
    "average",
    "bootstrap_interval",
    "frame_average",
    "held_out",
    "kendall_tau",
    "median_seconds",
    "value_errors",
    "value_errors_by_task",
    "wilson",
]
