"""What the documents say exists: commands, options, settings, files, and names in their code."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from ramp.recipes import RECIPES
from services.cli.main import app
from services.common.settings import compose, describe
from tests.unit.sources import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
KEYS = {row.key for name in RECIPES for row in describe(compose(name, None, []))}
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
    body = VERBS[verb]
    if hasattr(body, "commands"):  # a verb with verbs of its own, as `ramp bench methods`
        body, words = body.commands.get(words[0] if words else "", body), words[1:]
    known = {option for each in body.params for option in each.opts}
    unknown = [word for word in words if word.startswith("-") and word not in known | {"--help"}]
    return f"{verb} has no {', '.join(unknown)}" if unknown else None


def make_objection(command: str) -> str | None:
    """What is wrong with a `make` command, or None. ARGS are looked up where the target hands them on to `ramp`."""
    target, *words = shlex.split(command)[1:]
    if target not in TARGETS:
        return f"there is no target {target}"
    arguments = " ".join(word.removeprefix("ARGS=") for word in words if word.startswith("ARGS="))
    return objection(f"ramp {target} {arguments}") if f"/ramp {target} $(ARGS)" in MAKEFILE else None


def unknown_settings(text: str) -> list[str]:
    """Names in code like `sampling.slack` whose first part is a group of settings, and that are none."""
    named = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text)
    groups = {key.rpartition(".")[0] for key in KEYS}
    return [name for name in named if name.rpartition(".")[0] in groups and name not in KEYS]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_make_target_and_every_ramp_command_exists(path: Path) -> None:
    text = path.read_text()
    wrong = [why for line in commands(text, "ramp") if (why := objection(line))]
    wrong += [why for line in commands(text, "make") if (why := make_objection(line))]

    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert unknown_settings(path.read_text()) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_setting_in_a_command_or_a_table_is_accepted(path: Path) -> None:
    inline = [code for code in re.findall(r"`([^`\n]+)`", path.read_text()) if not code.startswith("ramp ")]
    overrides = {"metaworld": re.findall(r"[a-z_]+(?:\.[a-z_]+)*=[^\s`\"|]+", " ".join(inline))}
    for line in commands(path.read_text(), "ramp"):
        if line.startswith("ramp data query"):  # SQL
            continue
        recipe = next((word for word in line.split() if word in RECIPES), "metaworld")
        overrides.setdefault(recipe, []).extend(word for word in line.split() if "=" in word)

    for recipe, words in overrides.items():
        compose(recipe, None, [word for word in words if not word.startswith(("key=", "source="))])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_and_every_path_leads_somewhere(path: Path) -> None:
    text = path.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    paths = re.findall(r"`((?:ramp|services|proto|tests|benchmarks|docs|scripts)/[\w./-]*)`", text)

    assert [link for link in links if not (path.parent / link).exists()] == []
    assert [name for name in paths if not (ROOT / name).exists()] == []


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
    written = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))

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


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("make fly", "no target fly"),
        ('make run ARGS="--dir runs/mine --fast"', "run has no --fast"),
        ('make run ARGS="--resume"', None),
        ('make bench ARGS="--quick"', None),
    ],
)
def test_a_wrong_make_command_would_be_found(command: str, says: str | None) -> None:
    found = make_objection(command)

    assert (found is None) if says is None else (found is not None and says in found)


def test_a_setting_that_was_renamed_would_be_found() -> None:
    assert unknown_settings("`sampling.slak`, `sampling.slack`, `report.json`") == ["sampling.slak"]
