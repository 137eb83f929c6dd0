"""What Prometheus would be told."""

from __future__ import annotations

from services.common import metrics


def told(name: str, **labels: str) -> float | None:
    """A sample's present value; None where there is none."""
    return metrics.REGISTRY.get_sample_value(name, labels)
