"""The chart fits the program: roles, ports, commands, files, tokens and settings are those of the code."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from services.common.keyring import OWN_ROLES
from services.common.settings import Settings, compose
from services.common.tls import check_exposure
from services.common.tokens import Role, digest, parse_tokens
from services.conductor import topology
from tests.chart.render import CHART, NAMESPACE, PROFILES, RELEASE, Object, objects, of_kind, pods, profile

every_profile = pytest.mark.parametrize("name", PROFILES)


def settings(folder: Path, *options: str) -> Settings:
    """As every process reads them."""
    file = folder / "settings.yaml"
    file.write_text(of_kind("ConfigMap", *options)["settings"]["data"]["settings.yaml"])
    return compose("", file, [])


def container(component: str, *options: str) -> Object:
    return pods(*options)[component]["spec"]["containers"][0]  # type: ignore[no-any-return]


def mounts(component: str, *options: str) -> dict[str, Object]:
    return {each["mountPath"]: each for each in container(component, *options)["volumeMounts"]}


def test_every_role_of_the_topology_has_a_component_with_its_ports() -> None:
    for role in topology.ROLES:
        found = {each["containerPort"]: each["name"] for each in container(role.name)["ports"]}
        for port in role.ports:
            # Ray pods have Ray's own metrics under that name
            name = (
                "ramp-metrics"
                if port.name == "metrics" and role.name in ("actor", "learner", "conductor")
                else port.name
            )
            assert found[port.number] == name


def test_servers_are_started_as_the_topology_says() -> None:
    pod = f"$(POD_NAME).{RELEASE}-ramp-replay.{NAMESPACE}.svc"
    for name in ("replay", "policy"):
        assert tuple(container(name)["args"]) == topology.command(topology.role(name), release=RELEASE, pod=pod)


def test_the_conductor_is_started_as_the_topology_says() -> None:
    job = of_kind("RayJob")["conductor"]["spec"]
    assert tuple(job["entrypoint"].split()) == topology.command(topology.role("conductor"), release=RELEASE)
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    assert " ".join(topology.command(topology.role("conductor"), release="{{ .Release.Name }}")) in notes


@every_profile
def test_the_settings_are_valid_and_match_what_is_rendered(name: str, tmp_path: Path) -> None:
    found = settings(tmp_path, *profile(name))
    ray = next(each for each in objects(*profile(name)) if each["kind"] in ("RayJob", "RayCluster"))["spec"]
    groups = {each["groupName"]: each for each in ray.get("rayClusterSpec", ray)["workerGroupSpecs"]}
    shards = of_kind("StatefulSet", *profile(name))["replay"]
    assert len(found.replay.address.split(",")) == shards["spec"]["replicas"] == found.replay.shards
    service = f"{shards['spec']['serviceName']}.{NAMESPACE}.svc"
    assert found.replay.address.startswith(f"shard-0={shards['metadata']['name']}-0.{service}:7001")
    assert found.actors.count == groups["rollouts"]["maxReplicas"]
    assert found.learner.workers == groups["learners"]["maxReplicas"]
    assert groups["rollouts"]["resources"] == {found.actors.resource: "1"}
    assert groups["learners"]["resources"] == {found.learner.resource: "1"}
    ports = (found.metrics.port, found.actors.metrics_port, found.learner.metrics_port, found.replay.flight_port)
    assert ports == (9100, 9102, 9103, 7002)
    assert found.redis.url.startswith("redis")
    assert found.redis.run == f"{NAMESPACE}-{RELEASE}"
    check_exposure("0.0.0.0", tls=bool(found.replay.tls.certificate), tokens=True, exposed=found.replay.exposed)


def test_the_users_settings_come_last(tmp_path: Path) -> None:
    found = settings(tmp_path, "--set=settings.recipe=counting", "--set=settings.replay.segment_mib=8")
    assert (found.recipe, found.replay.segment_mib, found.replay.flight_port) == ("counting", 8, 7002)


@every_profile
def test_every_file_that_the_settings_name_is_mounted_where_it_is_read(name: str, tmp_path: Path) -> None:
    found, options = settings(tmp_path, *profile(name)), profile(name)
    components = set(pods(*options)) & {"replay", "policy", "conductor", "actor", "learner"}
    for component in components:
        there = mounts(component, *options)
        assert str(topology.SETTINGS) in there
        server = component in ("replay", "policy")
        assert (str(Path(found.replay.tokens).parent) in there) is server
        assert (found.replay.secrets in there) is not server, "servers know digests only"
        assert ("/etc/ramp/tls" in there) is bool(found.replay.tls.certificate)
    assert "/data" in mounts("replay", *options)
    if "policy" in components:
        assert mounts("policy", *options)["/runs"]["readOnly"] is True


def test_each_kind_of_client_has_its_own_token_only() -> None:
    def shown(component: str) -> set[str]:
        volumes = pods()[component]["spec"]["volumes"]
        return {item["key"] for each in volumes if each["name"] == "secrets" for item in each["secret"]["items"]}

    assert (shown("actor"), shown("learner"), shown("test")) == ({"actor"}, {"learner"}, {"operator"})
    assert shown("conductor") == set(OWN_ROLES)


def test_generated_tokens_are_those_that_servers_and_clients_read() -> None:
    data = next(each for each in objects() if each["metadata"]["name"] == "fleet-ramp-tokens")["data"]
    files = {name: base64.b64decode(value).decode() for name, value in data.items()}
    tokens = parse_tokens(files.pop("tokens.yaml").encode(), Path("tokens.yaml"))
    assert set(files) == set(OWN_ROLES)
    for token in tokens:
        secret = files[token.role].strip()
        assert digest(secret) == token.sha256
        assert len(secret) >= 43
        assert token.role in tuple(Role)
    assert len({token.sha256 for token in tokens}) == len(OWN_ROLES)


def test_every_pod_that_speaks_to_redis_knows_its_password() -> None:
    for component in ("replay", "conductor", "actor", "learner"):
        names = {each["name"]: each for each in container(component)["env"]}
        assert names["RAMP_REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "fleet-ramp-redis"
    assert "env" not in container("policy")


def test_names_in_the_certificate_are_those_that_clients_call(tmp_path: Path) -> None:
    options = profile("fleet")
    names = of_kind("Certificate", *options)["tls"]["spec"]["dnsNames"]
    found = settings(tmp_path, *options)
    for shard in found.replay.address.split(","):
        host = shard.partition("=")[2].partition(":")[0]
        assert "*." + host.partition(".")[2] in names
    service = of_kind("Service", *options)["policy"]["metadata"]["name"]
    assert {f"{service}.{NAMESPACE}.svc", "localhost"} <= set(names)
    assert found.replay.tls.client_ca == found.replay.tls.ca == "/etc/ramp/tls/ca.crt"
