"""What the documents say exists: commands, options, settings, files, and names in their code."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from services.cli.main import app
from services.common.settings import compose
from tests.unit.sources import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
MADE = {"benchmarks/results/"}  # by commands, so that they may be absent
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has commands


def commands(text: str, program: str) -> list[str]:
    """Lines of shell blocks, and inline code, that call a program; comments are cut off."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", text)
    return [line.split("#")[0].strip() for line in lines if line.startswith(program + " ")]


def objection(command: str) -> str | None:
    """What is wrong with a `ramp` command, or None."""
    verb, *words = shlex.split(command)[1:]
    if verb.startswith("--"):
        return None
    if verb not in VERBS:
        return f"there is no verb {verb}"
    known = {option for each in VERBS[verb].params for option in each.opts}
    unknown = [word for word in words if word.startswith("-") and word not in known | {"--help"}]
    return f"{verb} has no {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_make_target_and_every_ramp_command_exists(path: Path) -> None:
    text = path.read_text()
    called = {word for line in commands(text, "make") for word in shlex.split(line)[1:2]}
    arguments = [match for line in commands(text, "make") for match in re.findall(r'ARGS="([^"]*)"', line)]

    assert called <= TARGETS, f"no such target: {called - TARGETS}"
    wrong = [why for line in commands(text, "ramp") if (why := objection(line))]
    wrong += [why for words in arguments if "bench" not in called and (why := objection(f"ramp run {words}"))]
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_setting_in_a_command_or_a_table_is_accepted(path: Path) -> None:
    quoted = re.findall(r"[a-z_]+(?:\.[a-z_]+)*=[^\s`\"|]+", " ".join(re.findall(r"`([^`\n]+)`", path.read_text())))
    shown = [word for line in commands(path.read_text(), "ramp") for word in line.split() if "=" in word]
    overrides = [word for word in {*quoted, *shown} if not word.startswith(("key=", "source="))]

    compose("metaworld", None, overrides)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_and_every_path_leads_somewhere(path: Path) -> None:
    text = path.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    paths = re.findall(r"`((?:ramp|services|proto|tests|benchmarks|docs|scripts)/[\w./-]*)`", text)

    assert [link for link in links if not (path.parent / link).exists()] == []
    assert [name for name in paths if name not in MADE and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_names_imported_in_examples_exist(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert missing == [], f"{node.module} has no {missing}"


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in readme] == []


def test_every_make_target_is_explained_and_declared() -> None:
    text = (ROOT / "Makefile").read_text()
    declared = set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split())
    written = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))

    assert declared == written == TARGETS


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("ramp fly", "no verb fly"),
        ("ramp run --fast", "run has no --fast"),
        ("ramp run --resume", None),
        ("ramp eval --version 3 --json", None),
    ],
)
def test_a_wrong_command_would_be_found(command: str, says: str | None) -> None:
    found = objection(command)

    assert (found is None) if says is None else (found is not None and says in found)
