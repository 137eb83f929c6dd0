"""Published weights in a local folder: nothing is downloaded, and another architecture is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ramp.errors import Invalid, NotFound

M = TypeVar("M")


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises NotFound where there is none, Invalid where it cannot be read."""
    path = folder / "config.json"
    if not path.is_file():
        raise NotFound(f"{path} does not exist; give the folder of a published model, as downloaded")
    try:
        plain = json.loads(path.read_text())
    except ValueError as error:
        raise Invalid("weights", f"{path} is not JSON ({error})", "download the folder again") from error
    if not isinstance(plain, dict):
        raise Invalid("weights", f"{path} holds no object", "download the folder again")
    return plain


def check_architecture(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises Invalid, naming the first number, where the folder's architecture is not the one that was asked for."""
    for name, value in wanted.items():
        own = found.get(name)
        own = list(own) if isinstance(own, tuple) else own
        if own != (list(value) if isinstance(value, tuple) else value):
            raise Invalid(f"weights.{name}", own, f"this model needs {value}; {folder} holds another architecture")


def check_tensors(folder: Path) -> None:
    """Raises NotFound where the folder holds no *.safetensors: an unfinished download, or weights in another format."""
    if not any(folder.glob("*.safetensors")):
        raise NotFound(f"{folder} holds no *.safetensors; download the folder whole")


def load_all(folder: Path, load: Callable[[], tuple[M, Mapping[str, Any]]]) -> M:
    """Run a library's loader, which answers the model and lists of keys that did not fit.

    Raises Invalid, naming a tensor, where any did not; a library alone would fill it with random numbers and go on.
    """
    try:
        model, report = load()
    except (OSError, ValueError, RuntimeError) as error:
        raise Invalid("weights", f"{folder}: {error}", "download the folder again") from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        for key in sorted(map(str, report.get(kind) or ())):
            raise Invalid("weights", f"{key} of {folder}", f"{kind.replace('_keys', '')}; use the published weights")
    return model
