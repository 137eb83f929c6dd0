"""The product's Python files, for the tests that read them. Generated code is left out."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("ramp", "services", "benchmarks", "scripts")


def python_files(root: Path, tops: tuple[str, ...] = PRODUCT) -> list[Path]:
    return sorted(path for top in tops for path in (root / top).rglob("*.py"))


def module_name(root: Path, path: Path) -> str:
    """Dotted name; a package's __init__.py has the package's name."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
