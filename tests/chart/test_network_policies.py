"""Who reaches whom: computed from the rendered policies as Kubernetes defines them, compared with the table below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.chart.render import NAMESPACE, Object, objects, pods, profile


@dataclass(frozen=True, slots=True)
class Place:
    """A pod, as selectors see it."""

    labels: tuple[tuple[str, str], ...]
    namespace: str = NAMESPACE

    @property
    def own(self) -> dict[str, str]:
        return dict(self.labels)


STRANGERS = {
    "prometheus": Place((("app", "prometheus"),), "monitoring"),
    "operator": Place((("app.kubernetes.io/name", "kuberay-operator"),), "kuberay"),
    "robot": Place((("fleet-ramp-client", "true"),)),
    "dns": Place((("k8s-app", "kube-dns"),), "kube-system"),
    "neighbour": Place((("app", "neighbour"),)),
    "elsewhere": Place((("app", "elsewhere"),), "other"),
}
RAY = ("conductor", "actor", "learner")
PORTS = (53, 443, 6379, 6443, 7001, 7002, 7003, 8080, 8265, 9100, 9101, 9102, 9103, 9104, 10001, 40000)
ANY = frozenset(PORTS)

ALLOWED: dict[tuple[str, str], frozenset[int]] = {
    **{(each, "redis"): frozenset({6379}) for each in ("replay", *RAY)},
    **{(each, "replay"): frozenset({7001, 7002}) for each in (*RAY, "test", "robot")},
    **{(each, "policy"): frozenset({7003}) for each in ("conductor", "actor", "robot")},
    **{(one, other): ANY for one in RAY for other in RAY},
    ("submitter", "conductor"): frozenset({8265}),
    ("operator", "conductor"): frozenset({8265}),
    ("prometheus", "replay"): frozenset({9101}),
    ("prometheus", "policy"): frozenset({9104}),
    ("prometheus", "conductor"): frozenset({9100, 8080}),
    ("prometheus", "actor"): frozenset({9102, 8080}),
    ("prometheus", "learner"): frozenset({9103, 8080}),
    **{(each, "dns"): frozenset({53}) for each in ("replay", "policy", *RAY, "submitter", "test")},
}
"""Everything else is denied."""


def matches(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "the chart selects by matchLabels only"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def is_peer(peer: Object, other: Place) -> bool:
    """An entry of `from` or `to`."""
    space = peer.get("namespaceSelector")
    inside = (
        other.namespace == NAMESPACE
        if space is None
        else matches(space, {"kubernetes.io/metadata.name": other.namespace})
    )
    return inside and matches(peer.get("podSelector", {}), other.own)


def lets(policies: tuple[Object, ...], way: str, mine: Place, other: Place, port: int) -> bool:
    """Whether `mine` may be reached by (ingress) or reach (egress) `other`. Nobody's policy: everything."""
    about = [
        each["spec"]
        for each in policies
        if mine.namespace == NAMESPACE and matches(each["spec"]["podSelector"], mine.own)
    ]
    about = [each for each in about if way.capitalize() in each["policyTypes"]]
    key = "from" if way == "ingress" else "to"
    rules: list[Any] = [rule for each in about for rule in each.get(way) or []]
    return not about or any(
        (key not in rule or any(is_peer(peer, other) for peer in rule[key]))
        and ("ports" not in rule or any(each["port"] == port for each in rule["ports"]))
        for rule in rules
    )


def matrix(*options: str) -> dict[tuple[str, str], frozenset[int]]:
    """Ports that are open from one to the other, where there are any; strangers among themselves left out."""
    policies = tuple(each for each in objects(*options) if each["kind"] == "NetworkPolicy")
    mine = {name: Place(tuple(pod["metadata"]["labels"].items())) for name, pod in pods(*options).items()}
    found = {}
    for source, one in {**mine, **STRANGERS}.items():
        for target, other in {**mine, **STRANGERS}.items():
            open_ports = frozenset(
                port
                for port in PORTS
                if lets(policies, "egress", one, other, port) and lets(policies, "ingress", other, one, port)
            )
            if open_ports and not (source in STRANGERS and target in STRANGERS):
                found[source, target] = open_ports
    return found


def changes(*options: str) -> dict[tuple[str, str], frozenset[int]]:
    """What differs from the table, components that are not there left out."""
    there = set(pods(*options)) | set(STRANGERS)
    expected = {pair: ports for pair, ports in ALLOWED.items() if set(pair) <= there}
    found = matrix(*options)
    return {
        pair: found.get(pair, frozenset()) for pair in found.keys() | expected if found.get(pair) != expected.get(pair)
    }


def test_the_matrix_is_the_table() -> None:
    assert {component for component in pods() if component not in STRANGERS} >= {"replay", "policy", "redis", *RAY}
    assert changes() == {}


def test_nothing_of_another_release_gets_in() -> None:
    own = {name: Place(tuple(pod["metadata"]["labels"].items())) for name, pod in pods().items()}
    policies = tuple(each for each in objects(release="other") if each["kind"] == "NetworkPolicy")
    theirs = Place(
        (
            ("app.kubernetes.io/name", "ramp"),
            ("app.kubernetes.io/instance", "other"),
            ("app.kubernetes.io/component", "replay"),
        )
    )
    for mine in own.values():
        assert not any(lets(policies, "ingress", theirs, mine, port) for port in PORTS)


def test_a_redis_elsewhere_is_reached_at_its_port_and_nothing_else() -> None:
    assert changes(*profile("fleet")) == {
        (each, target): frozenset({6379}) | ALLOWED.get((each, target), frozenset())
        for each in ("replay", *RAY)
        for target in ("prometheus", "operator", "robot", "dns", "neighbour", "elsewhere")
    }


@pytest.mark.parametrize("component", ["replay", "policy", "conductor", "actor", "learner", "redis"])
def test_every_component_is_under_a_policy_of_both_ways(component: str) -> None:
    policies = [each["spec"] for each in objects() if each["kind"] == "NetworkPolicy"]
    labels = dict(pods()[component]["metadata"]["labels"])
    about = [each for each in policies if matches(each["podSelector"], labels)]
    assert len(about) == 2  # default deny, and its own
    assert all(each["policyTypes"] == ["Ingress", "Egress"] for each in about)


def test_an_autoscaling_head_alone_reaches_the_api_server() -> None:
    options = ("--set=ray.autoscaling.enabled=true", "--set=ray.mode=cluster")
    outside = {pair[0]: ports for pair, ports in changes(*options).items() if pair[1] == "elsewhere"}
    assert outside == {"conductor": frozenset({443, 6443})}
