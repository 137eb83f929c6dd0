"""What a policy and a value model are worth, with the uncertainty that belongs to it."""

from ramp.evaluation.success import wilson
from ramp.evaluation.values import ValueErrors, kendall_tau, value_errors, value_errors_by_task

__all__ = [
    "ValueErrors",
    "kendall_tau",
    "value_errors",
    "value_errors_by_task",
    "wilson",
]
