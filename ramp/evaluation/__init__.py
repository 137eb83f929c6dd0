"""What a policy and a value model are worth, with the uncertainty that belongs to it."""

from ramp.evaluation.success import Evaluation, SuccessResult, evaluate, success_result, wilson
from ramp.evaluation.values import ValueErrors, kendall_tau, value_errors, value_errors_by_task

__all__ = [
    "Evaluation",
    "SuccessResult",
    "ValueErrors",
    "evaluate",
    "kendall_tau",
    "success_result",
    "value_errors",
    "value_errors_by_task",
    "wilson",
]
