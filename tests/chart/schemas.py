"""Schemas of Kubernetes by version, and of custom resources, closed where they do not say that they are open."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.unit.sources import ROOT

CRDS = ROOT.parent / "shared" / "schemas" / "crds"
FIRST = 29  # Chart.yaml: kubeVersion
UNKNOWN = {"Certificate"}  # cert-manager's: no schema at hand


def versions() -> list[str]:
    """From the oldest that the chart allows to the newest that is known."""
    found = {path.name.split("-")[0].removeprefix("v") for path in _folder().iterdir() if path.name.startswith("v1.")}
    return sorted(
        (each for each in found if int(each.split(".")[1]) >= FIRST), key=lambda each: int(each.split(".")[1])
    )


def objections(each: dict[str, Any], version: str) -> list[str]:
    """What the API server of that version would say; nothing of kinds that are not Kubernetes' own."""
    if is_custom(each):
        return []
    return [error.message for error in _builtin(each["kind"], each["apiVersion"], version).iter_errors(each)]


def is_custom(each: dict[str, Any]) -> bool:
    """Whether its kind is none of Kubernetes' own."""
    group = each["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def crd_objections(each: dict[str, Any]) -> list[str]:
    """Of a custom resource; skips the test where the schemas are not at hand."""
    if not CRDS.is_dir():
        pytest.skip(f"no schemas of custom resources in {CRDS}")
    return [f"{list(error.path)}: {error.message}" for error in _custom(each["kind"]).iter_errors(each)]


def _folder() -> Path:
    """The data of the package kubernetes-validate."""
    found = importlib.util.find_spec("kubernetes_validate")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "kubernetes-json-schema"


@cache
def _definitions(version: str) -> tuple[Path, Any]:
    folder = _folder() / f"v{version}-local-strict"
    return folder, json.loads((folder / "_definitions.json").read_text())


@cache
def _builtin(kind: str, api: str, version: str) -> Draft202012Validator:
    folder, definitions = _definitions(version)
    group, _, number = api.rpartition("/")
    name = f"{kind.lower()}-{group.split('.')[0]}-{number}" if group else f"{kind.lower()}-{number}"
    shared = Resource.from_contents(definitions, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(definitions["$id"], shared)
    return Draft202012Validator(json.loads((folder / f"{name}.json").read_text()), registry=registry)


@cache
def _custom(kind: str) -> Draft202012Validator:
    for path in sorted(CRDS.glob("*.yaml")):
        crd = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        if crd["spec"]["names"]["kind"] == kind:
            served = next(each for each in crd["spec"]["versions"] if each["storage"])
            return Draft202012Validator(_closed(served["schema"]["openAPIV3Schema"], top=True))
    raise AssertionError(f"no schema of {kind}")


def _closed(schema: Any, *, top: bool = False) -> Any:
    """Objects with properties take no others, unless the schema says so."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if found.get("x-kubernetes-int-or-string"):
        found.pop("anyOf", None)
        found["type"] = ["integer", "string"]
    is_object = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if is_object and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    if top:
        found["properties"]["metadata"] = {"type": "object"}
    return found
