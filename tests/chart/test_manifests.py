"""deploy/k8s is what the chart says, and kustomize builds it to exactly that."""

from __future__ import annotations

import subprocess
from functools import cache

import pytest
import yaml

from scripts.chart import manifests
from tests.tooling import tool
from tests.unit.sources import ROOT

PLAIN = ROOT / "deploy" / "k8s"


@cache
def rendered(profile: str) -> dict[str, manifests.Object]:
    tool("helm4")
    return manifests.rendered(manifests.options(profile))


def built(folder: str) -> dict[str, manifests.Object]:
    done = subprocess.run(
        [tool("kubectl"), "kustomize", str(PLAIN / folder)], capture_output=True, text=True, check=True
    )
    return {
        f"{each['kind']} {each['metadata']['name']}": each
        for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)
    }


def test_the_folder_is_that_of_the_chart() -> None:
    kept = {
        str(path.relative_to(PLAIN)): path.read_text()
        for name in ("base", "overlays")
        for path in (PLAIN / name).rglob("*.yaml")
    }
    assert kept == manifests.files({profile: rendered(profile) for profile in ("", *manifests.PROFILES)}), (
        "run make manifests"
    )


@pytest.mark.parametrize("profile", manifests.PROFILES)
def test_kustomize_builds_what_helm_renders(profile: str) -> None:
    assert built(f"overlays/{profile}") == rendered(profile)


def test_the_base_is_the_chart_with_its_defaults_and_no_secret() -> None:
    found = built("base")
    assert found == rendered("")
    assert not [key for key in found if key.startswith("Secret ")]
