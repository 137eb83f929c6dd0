"""values.schema.json from the commented values: every group closed, every value typed by its default or below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.chart.comments import Entry

Schema = dict[str, Any]

TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
NAMES: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
QUANTITY: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": ["number", "string"], "pattern": r"^-?[0-9][0-9.e+-]*$"}  # --set makes 0.5 a string
AMOUNTS: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
PULL: Schema = {"enum": ["Always", "IfNotPresent", "Never"]}
ENV: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "value": {"type": "string"}, "valueFrom": {"type": "object"}},
    },
}

BY_KEY: Mapping[str, Schema] = {
    "additionalLabels": TEXTS,
    "annotations": TEXTS,
    "commonLabels": TEXTS,
    "disabled": NAMES,
    "duration": DURATION,
    "extraDnsNames": NAMES,
    "extraEnv": ENV,
    "interval": DURATION,
    "maxUnavailable": {"type": ["integer", "string"]},
    "nodeSelector": TEXTS,
    "podAnnotations": TEXTS,
    "podLabels": TEXTS,
    "pullPolicy": PULL,
    "pullSecrets": NAMES,
    "rayStartParams": TEXTS,
    "renewBefore": DURATION,
    "resources": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"requests": AMOUNTS, "limits": AMOUNTS, "claims": OBJECTS},
    },
    "ruleLabels": TEXTS,
    "scrapeTimeout": DURATION,
    "sharedMemory": QUANTITY,
    "size": QUANTITY,
    "thresholds": {"type": "object", "additionalProperties": NUMBER},
}
BY_NAME: Mapping[str, Schema] = {
    "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
    "learners.replicas": {"type": "integer", "minimum": 1},
    "networkPolicy.apiServerPorts": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
    "policy.autoscaling.maxReplicas": {"type": "integer", "minimum": 1},
    "policy.autoscaling.minReplicas": {"type": "integer", "minimum": 1},
    "policy.autoscaling.queueItems": {"type": "integer", "minimum": 1},
    "policy.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "ray.gcsFaultTolerance.backend": {"enum": ["none", "redis", "rocksdb"]},
    "ray.mode": {"enum": ["job", "cluster"]},
    "ray.upgradeStrategy": {"enum": ["Recreate", "None"]},
    "replay.shards": {"type": "integer", "minimum": 0, "maximum": 64},
    "replay.startSeconds": {"type": "integer", "minimum": 10},
    "rollouts.replicas": {"type": "integer", "minimum": 1},
    "runs.accessMode": {"enum": ["ReadWriteMany", "ReadWriteOnce"]},
    "tls.certManager.issuerRef.kind": {"enum": ["Issuer", "ClusterIssuer"]},
    "redis.externalUrl": {"type": "string", "pattern": "^$|^rediss?://|{{"},
}
"""replay.shards may be 0 here: templates/checks.yaml refuses it with a remedy."""


def schema(found: Sequence[Entry]) -> Schema:
    """Of all values; a group's keys are its own and no others."""
    top = _closed()
    top = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart ramp", **top}
    for each in found:
        group = top
        for key in each.path[:-1]:
            group = group["properties"].setdefault(key, _closed())
        group["properties"][each.path[-1]] = {"description": each.doc, **_type(each)}
    top["properties"]["global"] = {"description": "What a parent chart hands down; not used.", "type": "object"}
    return top


def _closed() -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _type(entry: Entry) -> Schema:
    special = BY_NAME.get(entry.name) or BY_KEY.get(entry.path[-1])
    if special is not None:
        return special
    match entry.default:
        case bool():
            return {"type": "boolean"}
        case int():
            return COUNT
        case str():
            return {"type": "string"}
        case list():
            return OBJECTS
        case dict():
            return {"type": "object"}
    raise TypeError(f"{entry.name}: no schema for {entry.default!r}; give it one here")
