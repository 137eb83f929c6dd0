"""What every environment checks before it lets anything happen."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np

from ramp.errors import Invalid
from ramp.types import StepSchema

GL_REMEDY = (
    "install a software GL (apt-get install -y libosmesa6) and start the process with MUJOCO_GL=osmesa, "
    "or libegl1 with MUJOCO_GL=egl"
)


def checked_action(action: np.ndarray, schema: StepSchema) -> np.ndarray:
    """The action as a fresh float32 [A]. Raises Invalid for a wrong type or shape, a non-finite or an out-of-bounds
    number; the environment has not moved by then."""
    array = np.asarray(action)
    if array.dtype.kind not in "fiu":
        raise Invalid("action", f"dtype {array.dtype}", "send float32")
    if array.shape != (schema.action_width,):
        raise Invalid("action", f"shape {array.shape}", f"send shape ({schema.action_width},)")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        raise Invalid(f"action[{where}]", array[where], "send finite numbers")
    outside = (array < np.asarray(schema.action_low, np.float32)) | (array > np.asarray(schema.action_high, np.float32))
    if outside.any():
        where = int(np.flatnonzero(outside)[0])
        low, high = schema.action_low[where], schema.action_high[where]
        raise Invalid(f"action[{where}]", f"{array[where]:.6g}", f"stay within [{low:g}, {high:g}]")
    return array


def checked_seed(seed: int) -> int:
    """The seed as an int. Raises Invalid for anything that is not a whole number from 0 to 2**63 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise Invalid("seed", seed, "send a whole number from 0 to 2**63 - 1")
    return int(seed)


def check_running(taken: int | None, max_steps: int) -> None:
    """Raises Invalid where no episode is under way: before the first reset and after the time limit."""
    if taken is None:
        raise Invalid("step", "no episode was begun", "call reset(seed) first")
    if taken >= max_steps:
        raise Invalid("step", f"the episode ended at its limit of {max_steps} steps", "call reset(seed) first")


def unknown(field: str, name: str, known: Iterable[str]) -> Invalid:
    """The refusal of an unknown name, with the nearest ones that exist."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return Invalid(field, name, f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(names)}")
