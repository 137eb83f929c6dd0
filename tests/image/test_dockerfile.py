"""What can be read off the Dockerfile, what the builder is sent, and the locks, without an engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.sources import ROOT

FOLDER = ROOT / "deploy" / "image"
TEXT = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
LINES = re.sub(r"\\\n", " ", TEXT).splitlines()
STAGES = {stage.split(" AS ")[1].split("\n")[0].strip(): stage for stage in re.split(r"^FROM ", TEXT, flags=re.M)[1:]}
RUNTIME = STAGES["runtime"]
LOCKS = ("build", "cpu", "cuda")
COMPILERS = re.compile(r"\b(build-essential|gcc|g\+\+|clang|make|cmake|\S+-dev)\b")


def pins(path: Path) -> dict[str, str]:
    """Version by name; a build's label such as +cpu is left out."""
    return {
        name: pin.split("+")[0] for name, pin in re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(), re.MULTILINE)
    }


def test_every_stage_comes_from_the_base_that_was_asked_for() -> None:
    sources = [line.split()[1] for line in LINES if line.startswith("FROM ")]

    assert sources[0] == "${BASE_IMAGE}"
    assert set(sources[1:]) <= set(STAGES)


def test_the_default_base_is_a_named_debian_12() -> None:
    assert re.search(r"^ARG BASE_IMAGE=\S+/debian:bookworm-slim$", TEXT, re.MULTILINE)


def test_the_variant_is_an_argument_of_every_stage_that_differs() -> None:
    for name in ("packages", "runtime"):
        assert re.search(r"^ARG VARIANT=cpu$", STAGES[name], re.MULTILINE)


def test_the_last_stage_installs_nothing_and_takes_only_results() -> None:
    assert not re.search(r"apt-get|pip |curl|wget ", RUNTIME)
    assert set(re.findall(r"^COPY (\S+)", RUNTIME, re.MULTILINE)) == {"--from=lean", "--from=project"}


def test_neither_the_base_nor_the_last_stage_has_a_compiler() -> None:
    assert not COMPILERS.search(STAGES["base"] + RUNTIME)


def test_it_runs_as_nobody_in_particular_under_an_init_that_reaps() -> None:
    users = re.findall(r"^USER (\S+)", TEXT, re.MULTILINE)

    assert users == ["10001:10001"]
    assert 'ENTRYPOINT ["/usr/bin/tini", "--"]' in RUNTIME
    assert "HEALTHCHECK" in RUNTIME


def test_what_libraries_write_goes_to_the_temporary_folder() -> None:
    assert {"HOME=/tmp", "TMPDIR=/tmp", "PYTHONDONTWRITEBYTECODE=1"} <= set(RUNTIME.split())


def test_every_package_from_the_network_is_known_by_its_checksum() -> None:
    installs = [call for line in LINES for call in re.findall(r"pip (?:install|wheel) [^&|]*", line)]

    assert len(installs) == 5
    assert [call for call in installs if "--require-hashes" not in call and "--no-index" not in call] == []


def test_no_layer_holds_a_secret() -> None:
    assigned = re.findall(r"^(?:ARG|ENV) (.*)$", "\n".join(LINES), re.MULTILINE)

    assert not re.search(r"TOKEN|PASSWORD|SECRET|CREDENTIAL|PIP_\w*INDEX", " ".join(assigned))
    assert set(re.findall(r"target=/etc/pip\.conf|pip\.conf", TEXT)) == {"target=/etc/pip.conf"}
    assert TEXT.count("pip.conf") == TEXT.count("--mount=type=secret,id=pip,")


def test_the_builder_is_sent_what_it_copies_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {word for line in LINES if line.startswith("COPY ") for word in line.split()[1:-1] if "--from" not in line}
    bound = set(re.findall(r"type=bind,source=([^,\s]+)", TEXT))

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied | bound
    assert all(list(ROOT.glob(name)) for name in copied | bound)


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_has_a_checksum(name: str) -> None:
    lines = (FOLDER / f"{name}.lock").read_text().splitlines()[1:]

    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==\S+ --hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_versions_of_the_projects_lock(name: str) -> None:
    project, own = pins(ROOT / "requirements.lock"), pins(FOLDER / f"{name}.lock")
    unknown = set(own) - set(project) - {"async-timeout"}  # of Python before 3.11.3, as in Debian 12

    assert {key: pin for key, pin in own.items() if pin != project.get(key, pin)} == {}
    assert name == "cuda" or not unknown
    assert all(key.startswith(("nvidia-", "cuda-", "triton")) for key in unknown)


@pytest.mark.parametrize(("name", "full"), [("cpu", False), ("cuda", True)])
def test_an_image_has_what_runs_need_and_no_tools_of_developers(name: str, full: bool) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    needed = re.findall(r'"([\w-]+)(?:\[[\w,]+\])?"', re.findall(r"^dependencies = \[(.*?)^\]", text, re.M | re.S)[0])
    own = {key.lower().replace("_", "-") for key in pins(FOLDER / f"{name}.lock")}

    assert {each.lower() for each in needed} <= own
    assert ("diffusers" in own) == full
    assert not own & {"pytest", "ruff", "mypy", "hypothesis", "rerun-sdk", "grpcio-tools", "pip"}
    assert ("+cpu" in (FOLDER / f"{name}.lock").read_text()) == (name == "cpu")
