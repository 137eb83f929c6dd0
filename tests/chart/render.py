"""The chart as helm renders it, each combination once a session."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.tooling import tool
from tests.unit.sources import ROOT

CHART = ROOT / "helm" / "ramp"
RELEASE, NAMESPACE = "fleet", "robots"
Object = dict[str, Any]

PROFILES = {
    "default": None,
    "dev": "values-dev.yaml",
    "gpu": "values-gpu.yaml",
    "fleet": "values-fleet.yaml",
    **{f"ci-{path.stem}": f"ci/{path.name}" for path in sorted((CHART / "ci").glob("*.yaml"))},
}
"""Sets of values by name; `default` has none of its own."""


def profile(name: str) -> tuple[str, ...]:
    """helm's options for it."""
    file = PROFILES[name]
    return (f"--values={CHART / file}",) if file else ()


@cache
def text(*options: str, helm: str = "helm4", release: str = RELEASE) -> str:
    """What `helm template` prints. Raises CalledProcessError."""
    return _helm(helm, "template", release, str(CHART), "--namespace", NAMESPACE, *options).stdout


@cache
def objects(*options: str, release: str = RELEASE) -> tuple[Object, ...]:
    """Not to be changed: others get the same."""
    return tuple(each for each in yaml.load_all(text(*options, release=release), Loader=yaml.CSafeLoader) if each)


def of_chart(chart: Path, *options: str) -> list[Object]:
    """Of another chart than ours. Raises CalledProcessError."""
    done = _helm("helm4", "template", RELEASE, str(chart), "--namespace", NAMESPACE, *options)
    return [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]


def refusal(*options: str) -> str:
    """What helm says to values that it does not take; fails where it takes them."""
    try:
        _helm("helm4", "template", RELEASE, str(CHART), *options)
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    raise AssertionError(f"{' '.join(options)} was accepted")


def lint(helm: str, *options: str) -> str:
    """Its words. Raises CalledProcessError."""
    return _helm(helm, "lint", "--strict", str(CHART), *options).stdout


def of_kind(kind: str, *options: str) -> dict[str, Object]:
    """By component; those of extraObjects have none."""
    found = [each for each in objects(*options) if each["kind"] == kind and "labels" in each["metadata"]]
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in found}


def pods(*options: str) -> dict[str, Object]:
    """Pod templates by component, those that KubeRay makes among them."""
    found: dict[str, Object] = {}
    for each in objects(*options):
        for template in _templates(each):
            found[template["metadata"]["labels"]["app.kubernetes.io/component"]] = template
    return found


def _templates(each: Object) -> list[Object]:
    spec = each.get("spec", {})
    match each["kind"]:
        case "Pod":
            return [each]
        case "StatefulSet" | "Deployment":
            return [spec["template"]]
        case "RayJob":
            return [spec["submitterPodTemplate"], *_ray(spec["rayClusterSpec"])]
        case "RayCluster":
            return _ray(spec)
    return []


def _ray(spec: Object) -> list[Object]:
    return [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]


def _helm(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool(program), *words], capture_output=True, text=True, check=True)
