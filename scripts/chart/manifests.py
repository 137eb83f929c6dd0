"""deploy/k8s from the chart, for those without helm: one base, and an overlay for each profile.

The base is the chart with its default values. An overlay takes away what differs and adds what its profile renders, so
that the overlays of this folder never say anything that the chart does not.
"""

from __future__ import annotations

from typing import Any

import yaml

from scripts.chart.helm import CHART, template

NAMESPACE = "ramp"
RELEASE = "ramp"
PROFILES = ("dev", "gpu", "fleet")
HEADER = "# Made from helm/ramp by `make manifests`; do not edit.\n"
GIVEN = (  # nothing random: Secrets come from outside, see README.md there
    "--set=tokens.existingSecret=ramp-tokens",
    "--set=redis.existingSecret=ramp-redis",
)
Object = dict[str, Any]


def files(found: dict[str, dict[str, Object]]) -> dict[str, str]:
    """Path below deploy/k8s to content, of what `rendered` gave for "" (the defaults) and each profile."""
    base = found[""]
    made = {"base/ramp.yaml": _dump(list(base.values())), "base/kustomization.yaml": _kustomization(["ramp.yaml"])}
    for profile in PROFILES:
        made |= _overlay(profile, base, found[profile])
    return made


def options(profile: str) -> list[str]:
    """helm's, for a profile or ""."""
    return [f"--values={CHART}/values-{profile}.yaml"] if profile else []


def rendered(options: list[str]) -> dict[str, Object]:
    """Objects by kind and name, without helm's own marks and its test."""
    text = template(RELEASE, [*GIVEN, *options, "--skip-tests"], namespace=NAMESPACE)
    found = [_plain(each) for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]
    return {f"{each['kind']} {each['metadata']['name']}": each for each in found}


def _overlay(profile: str, base: dict[str, Object], own: dict[str, Object]) -> dict[str, str]:
    """What the base has otherwise is deleted by a patch, and what the profile has comes as a whole."""
    gone = [each for key, each in base.items() if own.get(key) != each]
    new = [each for key, each in own.items() if base.get(key) != each]
    folder = f"overlays/{profile}"
    lines = _kustomization(["removed", "ramp.yaml"])
    return {
        f"{folder}/ramp.yaml": _dump(new),
        f"{folder}/kustomization.yaml": lines,
        f"{folder}/removed/kustomization.yaml": _kustomization(["../../../base"], removed=gone),
    }


def _kustomization(resources: list[str], removed: list[Object] | None = None) -> str:
    body: Object = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}
    if removed:
        body["patches"] = [{"patch": yaml.safe_dump(_deletion(each), sort_keys=False)} for each in removed]
    return HEADER + yaml.safe_dump(body, sort_keys=False, width=160)


def _deletion(each: Object) -> Object:
    name = {"name": each["metadata"]["name"], "namespace": each["metadata"].get("namespace", NAMESPACE)}
    return {"$patch": "delete", "apiVersion": each["apiVersion"], "kind": each["kind"], "metadata": name}


def _plain(each: Object) -> Object:
    meta = each["metadata"]
    meta.setdefault("namespace", NAMESPACE)
    meta.get("labels", {}).pop("helm.sh/chart", None)
    if "app.kubernetes.io/managed-by" in meta.get("labels", {}):
        meta["labels"]["app.kubernetes.io/managed-by"] = "kustomize"
    meta.get("annotations", {}).pop("helm.sh/resource-policy", None)
    if not meta.get("annotations", True):
        del meta["annotations"]
    return each


def _dump(objects: list[Object]) -> str:
    return HEADER + yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False, width=160)
