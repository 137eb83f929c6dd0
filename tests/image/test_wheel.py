"""The wheel that the image installs, built here without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.unit.sources import ROOT

SOURCE = ("pyproject.toml", "README.md", "LICENSE", "proto", "ramp", "services")  # what the Dockerfile copies
NOT_PACKAGED = {"py", "pyc", "proto"}  # besides modules; protos are what they were generated from


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)  # setuptools builds in the tree
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    built = subprocess.run(
        [*argv, "--wheel-dir", str(folder), str(folder)], capture_output=True, text=True, timeout=120
    )
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_it_holds_every_module_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packaged = {name for name in wheel.namelist() if name.endswith(".py")}
    ours = {str(path.relative_to(ROOT)) for top in ("ramp", "services") for path in (ROOT / top).rglob("*.py")}
    wire = {str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto" / "rampwire").rglob("*.py")}

    assert packaged == ours | wire


def test_it_holds_every_file_that_modules_read(wheel: zipfile.ZipFile) -> None:
    beside = {
        str(path.relative_to(ROOT))
        for top in ("ramp", "services")
        for path in (ROOT / top).rglob("*.*")
        if path.is_file() and path.suffix[1:] not in NOT_PACKAGED
    }

    assert beside
    assert beside <= set(wheel.namelist())


def test_it_has_the_command(wheel: zipfile.ZipFile) -> None:
    [entries] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]

    assert "ramp = services.cli.main:main" in wheel.read(entries).decode()
