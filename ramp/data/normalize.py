"""Robot units to network units and back: 1st and 99th percentile of every dimension to -1 and 1 (as in GigaBrain-0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ramp.errors import Invalid
from ramp.types import StepSchema

SMALLEST_RANGE = 1e-3
"""A dimension that hardly moves is centred, not blown up."""
ROUNDING = 1e-5
"""Of quantiles in float32, relative to the bounds that they are compared with."""
FIELDS = ("proprio_low", "proprio_high", "action_low", "action_high")


@dataclass(frozen=True, kw_only=True)
class Normalizer:
    """Quantiles q01 and q99 per dimension, in robot units: proprio float32 [P], action float32 [A]."""

    proprio_low: np.ndarray
    proprio_high: np.ndarray
    action_low: np.ndarray
    action_high: np.ndarray

    @classmethod
    def fit(cls, proprio: np.ndarray, action: np.ndarray) -> Normalizer:
        """From proprio [N, P] and action [N, A]. Raises Invalid where there is nothing or something not finite."""
        _check_samples("proprio", proprio)
        _check_samples("action", action)
        p = np.quantile(proprio, (0.01, 0.99), axis=0).astype(np.float32)
        a = np.quantile(action, (0.01, 0.99), axis=0).astype(np.float32)
        return cls(proprio_low=p[0], proprio_high=p[1], action_low=a[0], action_high=a[1])

    def normalise_proprio(self, proprio: np.ndarray) -> np.ndarray:
        """float32 [..., P] to network units, cut at -3 and 3: a sensor beyond its usual range must not dominate."""
        return np.clip(_to_unit(proprio, self.proprio_low, self.proprio_high), -3.0, 3.0)

    def normalise_action(self, action: np.ndarray) -> np.ndarray:
        """float32 [..., A] to network units; not cut, so that the round trip is exact."""
        return _to_unit(action, self.action_low, self.action_high)

    def denormalise_action(self, action: np.ndarray) -> np.ndarray:
        """float32 [..., A] back to robot units."""
        centre, half = _centre(self.action_low, self.action_high)
        return (action * half + centre).astype(np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """Plain JSON, for manifests."""
        return {name: [float(x) for x in getattr(self, name)] for name in FIELDS}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Normalizer:
        """Inverse of to_dict. Raises Invalid for missing or unknown fields, and for what cannot be quantiles."""
        if set(fields) != set(FIELDS):
            raise Invalid("normalizer", sorted(fields), f"exactly these fields: {', '.join(FIELDS)}")
        found = cls(**{name: np.asarray(fields[name], np.float32) for name in FIELDS})
        for kind in ("proprio", "action"):
            _check_quantiles(kind, getattr(found, f"{kind}_low"), getattr(found, f"{kind}_high"))
        return found

    def check(self, schema: StepSchema) -> None:
        """Raises Invalid where these are another robot's statistics: of other widths, or of actions that this one's
        bounds do not allow. Another robot of the same widths and wider bounds cannot be told apart."""
        for name in FIELDS:
            width = schema.action_width if name.startswith("action") else schema.proprio_width
            if getattr(self, name).shape != (width,):
                remedy = f"this robot has {width}: fit the statistics to its own demonstrations"
                raise Invalid(f"normalizer.{name}", f"width {getattr(self, name).size}", remedy)
        low, high = np.asarray(schema.action_low), np.asarray(schema.action_high)
        slack = ROUNDING * (1.0 + high - low)
        for name, beyond in (
            ("action_low", self.action_low < low - slack),
            ("action_high", self.action_high > high + slack),
        ):
            if beyond.any():
                remedy = f"this robot acts within {low.tolist()} and {high.tolist()}: these are another one's"
                raise Invalid(f"normalizer.{name}", getattr(self, name).tolist(), remedy)


def _check_quantiles(kind: str, low: np.ndarray, high: np.ndarray) -> None:
    if low.ndim != 1 or low.shape != high.shape:
        remedy = "give a low and a high per dimension"
        raise Invalid(f"normalizer.{kind}", f"shapes {low.shape} and {high.shape}", remedy)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        remedy = "give finite quantiles, low at or below high"
        raise Invalid(f"normalizer.{kind}", [low.tolist(), high.tolist()], remedy)


def _check_samples(name: str, samples: np.ndarray) -> None:
    if samples.ndim != 2 or len(samples) == 0:
        raise Invalid(name, f"shape {samples.shape}", "give at least one row of samples")
    if not np.isfinite(samples).all():
        raise Invalid(name, "not finite", "drop steps with nan or infinite readings before fitting")


def _centre(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (high + low) / 2.0, np.maximum((high - low) / 2.0, SMALLEST_RANGE)


def _to_unit(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    centre, half = _centre(low, high)
    return ((x - centre) / half).astype(np.float32)
