"""What the chart does about Secrets in a cluster that has some."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager

import pytest

from tests.chart import api_server
from tests.chart.render import CHART, NAMESPACE, RELEASE, Object, objects, of_chart


def serving(secrets: dict[str, dict[str, str]]) -> AbstractContextManager[str]:
    """A cluster that has every kind of the chart, and these Secrets."""
    return api_server.serving({(each["apiVersion"], each["kind"]) for each in objects()}, NAMESPACE, RELEASE, secrets)


def rendered(url: str, *options: str) -> dict[str, Object]:
    """Secrets by name, of a chart that asks the cluster there."""
    asked = ("--dry-run=server", "--disable-openapi-validation", f"--kube-apiserver={url}")
    return {each["metadata"]["name"]: each for each in of_chart(CHART, *asked, *options) if each["kind"] == "Secret"}


def test_an_upgrade_keeps_the_tokens_and_the_password_of_the_install() -> None:
    with serving({}) as url:
        first = rendered(url)
    with serving({name: each["data"] for name, each in first.items()}) as url:
        second = rendered(url)
    assert {name: each["data"] for name, each in second.items()} == {name: each["data"] for name, each in first.items()}
    assert first["fleet-ramp-tokens"]["data"]["actor"] != first["fleet-ramp-tokens"]["data"]["learner"]


def test_a_token_that_an_operator_has_added_stays() -> None:
    ours = {"tokens.yaml": "W10K", "actor": "YQ==", "learner": "YQ==", "operator": "YQ==", "more": "YQ=="}
    with serving({"fleet-ramp-tokens": ours}) as url:
        assert rendered(url)["fleet-ramp-tokens"]["data"] == ours


@pytest.mark.parametrize("value", ["tokens.existingSecret", "redis.existingSecret", "ray.auth.existingSecret"])
def test_a_secret_that_is_missing_is_refused_before_anything_is_created(value: str) -> None:
    with serving({"there": {"redis-password": "YQ=="}}) as url:
        rendered(url, f"--set={value}=there")
        with pytest.raises(subprocess.CalledProcessError) as caught:
            rendered(url, f"--set={value}=absent")
        assert f"{value} names the Secret absent, which is not in namespace {NAMESPACE}" in caught.value.stderr
        rendered(url, f"--set={value}=absent", "--set=requireSecrets=false")
