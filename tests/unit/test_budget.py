"""The size rule and the habits a reader relies on: small files and functions, nothing unpickled, no hidden settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.sources import PRODUCT, ROOT, python_files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 9
VAGUE = {"utils", "util", "misc", "helpers", "helper", "stuff", "tools", "base"}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
# The one place where settings are read; entry points; and where Ray Train and torch.distributed, which know no other
# way, are told something or tell who is who.
ENVIRONMENT = re.compile(
    r"services/common/settings\.py|services/\w+/(main|__main__)\.py|services/cli/\w+\.py"
    r"|services/learner/(engine|group)\.py"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    if text.count("\n") > MAX_FILE_LINES:
        yield f"{path}: {text.count(chr(10))} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.end_lineno and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"


def too_many_parameters(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > MAX_PARAMETERS:
                yield f"{path}:{node.lineno}: {node.name} has {count} parameters, at most {MAX_PARAMETERS}"


def vague_names(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    yield from (f"{path}: the name {part} says nothing" for part in Path(path).with_suffix("").parts if part in VAGUE)


def keyword(node: ast.Call, name: str) -> object:
    return next((k.value.value for k in node.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None)


def unsafe_loads(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (
            f"{path}:{node.lineno}: {name} runs what it reads" for name in names if name.split(".")[0] in PICKLES
        )
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called == "torch.load" and keyword(node, "weights_only") is not True:
            yield f"{path}:{node.lineno}: torch.load without weights_only=True"
        if called in ("np.load", "numpy.load") and keyword(node, "allow_pickle"):
            yield f"{path}:{node.lineno}: {called} with allow_pickle"
        if called in ("yaml.load", "yaml.unsafe_load", "eval", "exec"):
            yield f"{path}:{node.lineno}: {called} runs what it reads"


def hidden_settings(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    if ENVIRONMENT.fullmatch(path):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.putenv"):
            yield f"{path}:{node.lineno}: environment variables are read in services/common/settings.py only"


def swallowed(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        broad = isinstance(node, ast.ExceptHandler) and (
            node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        )
        if broad and all(isinstance(line, ast.Pass | ast.Continue) for line in node.body):
            yield f"{path}:{node.lineno}: swallows every exception"


def talkative_ray(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    called = {ast.unparse(node.func): node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if "ray.init" in called and "keep_ray_quiet" not in called:
        yield f"{path}:{called['ray.init']}: Ray sends usage statistics; call keep_ray_quiet before it"


def unfinished(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"#.*\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"{path}:{number}: unfinished: {line.strip()}"


Rule = Callable[[str, str, ast.Module], Iterator[str]]
RULES: list[Rule] = [
    too_long,
    too_many_parameters,
    vague_names,
    unsafe_loads,
    hidden_settings,
    swallowed,
    talkative_ray,
    unfinished,
]


def objections(rule: Rule, root: Path, tops: tuple[str, ...] = PRODUCT) -> list[str]:
    found: list[str] = []
    for path in python_files(root, tops):
        text = path.read_text()
        found += rule(str(path.relative_to(root)), text, ast.parse(text))
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_product_keeps_the_rule(rule: Rule) -> None:
    assert objections(rule, ROOT) == []


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (too_long, "big.py", "x = 1\n" * 401),
        (too_long, "long.py", "def f():\n" + "    x = 1\n" * 60),
        (too_many_parameters, "wide.py", "def f(a, b, c, d, e, f, g, h, *, i, j): ..."),
        (vague_names, "utils.py", ""),
        (vague_names, "helpers/noun.py", ""),
        (unsafe_loads, "a.py", "import pickle"),
        (unsafe_loads, "a.py", "from cloudpickle import loads"),
        (unsafe_loads, "a.py", "import torch\ntorch.load('x')"),
        (unsafe_loads, "a.py", "import torch\ntorch.load('x', weights_only=False)"),
        (unsafe_loads, "a.py", "import numpy as np\nnp.load('x', allow_pickle=True)"),
        (unsafe_loads, "a.py", "import yaml\nyaml.load('x')"),
        (hidden_settings, "a.py", "import os\nos.environ['X']"),
        (hidden_settings, "a.py", "import os\nos.getenv('X')"),
        (swallowed, "a.py", "try:\n    f()\nexcept Exception:\n    pass"),
        (talkative_ray, "a.py", "import ray\nray.init(num_cpus=2)"),
        (unfinished, "a.py", "x = 1  # TO" + "DO: later"),
    ],
)
def test_a_planted_breach_is_found(tmp_path: Path, rule: Rule, name: str, text: str) -> None:
    path = tmp_path / "ramp" / name
    path.parent.mkdir(parents=True)
    path.write_text(text + "\n")

    assert len(objections(rule, tmp_path)) == 1


def test_settings_and_entry_points_may_read_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "services" / "common" / "settings.py"
    path.parent.mkdir(parents=True)
    path.write_text("import os\nos.environ\n")

    assert objections(hidden_settings, tmp_path) == []


def sleeps(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep"):
            yield f"{path}:{node.lineno}: waits by the clock; wait for the event itself"


def test_tests_do_not_sleep_to_wait_for_something() -> None:
    assert objections(sleeps, ROOT, ("tests",)) == []
