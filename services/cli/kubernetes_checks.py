"""What Kubernetes says of a release, where kubectl is there and reaches a cluster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

from services.cli.checks import Finding, command_output

SELECTOR = "app.kubernetes.io/name=ramp"
CRDS = ("rayclusters.ray.io", "rayjobs.ray.io")


def kubernetes() -> Iterator[Finding]:
    """Pods, volumes and the definitions that the chart needs, in kubectl's present namespace."""
    if not (shutil.which("kubectl") and _kubectl("version") is not None):
        yield Finding(name="Kubernetes", ok=True, detail="no kubectl that reaches a cluster from here", needed=False)
        return
    yield pods(_kubectl("get", "pods", "-l", SELECTOR))
    yield claims(_kubectl("get", "pvc", "-l", SELECTOR))
    yield definitions(_kubectl("get", "crd", *CRDS, "--ignore-not-found"))


def _kubectl(*words: str) -> dict[str, Any] | None:
    """The answer; None where there is none."""
    ok, text = command_output(["kubectl", *words, "-o", "json", "--request-timeout=10s"])
    try:
        found = json.loads(text or '{"items": []}') if ok else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def pods(answer: dict[str, Any] | None) -> Finding:
    """All of them are ready, or have done their work."""
    found = (answer or {}).get("items", [])
    bad = [_said(each) for each in found if not _is_well(each)]
    detail = f"{len(found) - len(bad)} of {len(found)} ready" + (f"; {'; '.join(bad)}" if bad else "")
    if not found:
        detail = f"none with {SELECTOR} in this namespace"
    remedy = "kubectl describe pod NAME; kubectl logs NAME --previous"
    return Finding(name="pods", ok=bool(found) and not bad, detail=detail, remedy=remedy)


def _is_well(pod: dict[str, Any]) -> bool:
    status = pod.get("status", {})
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
    return ready or status.get("phase") == "Succeeded"


def _said(pod: dict[str, Any]) -> str:
    """Its name, and why it waits, as its containers have it."""
    status = pod.get("status", {})
    states = [each.get("state", {}).get("waiting", {}).get("reason") for each in status.get("containerStatuses", [])]
    why = next((each for each in states if each), status.get("phase", "unknown"))
    return f"{pod['metadata']['name']} {why}"


def claims(answer: dict[str, Any] | None) -> Finding:
    """Every volume is there."""
    found = (answer or {}).get("items", [])
    bad = [each["metadata"]["name"] for each in found if each.get("status", {}).get("phase") != "Bound"]
    detail = f"{len(found) - len(bad)} of {len(found)} volumes bound" + (f"; not {', '.join(bad)}" if bad else "")
    remedy = "kubectl describe pvc NAME: is there a storage class of that name, with that access mode?"
    return Finding(name="volumes", ok=not bad, detail=detail, remedy=remedy)


def definitions(answer: dict[str, Any] | None) -> Finding:
    """The KubeRay operator has been installed."""
    items = (answer or {}).get("items", [answer] if answer and "metadata" in answer else [])
    there = {each["metadata"]["name"] for each in items}
    missing = [each for each in CRDS if each not in there]
    detail = f"without {', '.join(missing)}" if missing else ", ".join(CRDS)
    return Finding(name="KubeRay", ok=not missing, detail=detail, remedy="install the KubeRay operator")
