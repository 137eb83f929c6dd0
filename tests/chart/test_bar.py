"""The bar for the chart, line by line."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from scripts.chart.comments import entries
from scripts.chart.schema import schema
from scripts.chart.table import with_table
from tests.chart import schemas
from tests.chart.render import CHART, PROFILES, lint, objects, of_kind, pods, profile, refusal, text
from tests.unit.sources import ROOT

VALUES = CHART / "values.yaml"
SELECTOR = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
LABELS = SELECTOR | {f"app.kubernetes.io/{name}" for name in ("version", "part-of", "managed-by")} | {"helm.sh/chart"}
COMPONENTS = ("replay", "policy", "redis", "conductor", "rollouts", "learners")
EACH = (
    *("resources", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName"),
    *("runtimeClassName", "podAnnotations", "podLabels", "extraEnv", "extraEnvFrom", "extraVolumes"),
    *("extraVolumeMounts", "initContainers", "sidecars", "terminationGracePeriodSeconds", "lifecycle"),
)
TYPOS = (
    *("replay.shard=2", "replay.persistance.size=1Gi", "networkPolicy.extraEgres.replay=a", "redis.url=redis://a:1"),
    *("learners.gpus.count=1", "tls.enable=true", "image.pullpolicy=Always", "policy.autoscaling.hpa.minReplicas=2"),
    *("monitoring.serviceMonitors.enabled=true", "ray.gcsFaultTolerence.backend=redis"),
)
every_profile = pytest.mark.parametrize("name", PROFILES)


def documented() -> list[Any]:
    return entries(VALUES.read_text())


def test_line_01_chart_yaml_says_what_operators_look_for() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version = "))
    assert chart["apiVersion"] == "v2"
    assert chart["kubeVersion"] == f">=1.{schemas.FIRST}.0-0"
    assert chart["appVersion"] == version.split('"')[1]
    assert (CHART / chart["icon"].removeprefix("file://")).is_file()
    assert all(chart[key] for key in ("home", "sources", "maintainers", "description"))
    assert {f"artifacthub.io/{name}" for name in ("license", "changes", "images", "links")} <= set(chart["annotations"])
    images = {each["image"] for each in yaml.safe_load(chart["annotations"]["artifacthub.io/images"])}
    used = {pod["spec"]["containers"][0]["image"] for pod in pods().values()}
    assert images == used


def test_line_02_the_schema_is_that_of_the_values_and_closed() -> None:
    kept = json.loads((CHART / "values.schema.json").read_text())
    assert kept == schema(documented()), "run make manifests"
    for each in documented():
        group = kept
        for key in each.path:
            assert group["additionalProperties"] is False
            group = group["properties"][key]


@pytest.mark.parametrize("typo", TYPOS)
def test_line_02_a_typo_is_refused_by_lint(typo: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        lint("helm4", f"--set={typo}")
    assert "dditional propert" in caught.value.stdout + caught.value.stderr


@every_profile
def test_line_03_labels_and_selectors(name: str) -> None:
    mine = [each for each in objects(*profile(name)) if "part-of" in str(each["metadata"].get("labels"))]
    assert len(mine) > 10
    for each in mine:
        assert set(each["metadata"]["labels"]) >= LABELS, each["metadata"]["name"]
        spec = each.get("spec", {})
        if each["kind"] in ("StatefulSet", "Deployment"):
            assert set(spec["selector"]["matchLabels"]) == SELECTOR
        if each["kind"] == "Service":
            assert set(spec["selector"]) == SELECTOR
        for claim in spec.get("volumeClaimTemplates", []):
            assert set(claim["metadata"]["labels"]) == SELECTOR
    for pod in pods(*profile(name)).values():
        assert "helm.sh/chart" not in pod["metadata"]["labels"] or pod["kind"] == "Pod"


def test_line_03_two_releases_in_one_namespace_do_not_collide() -> None:
    long = "a-release-with-a-name-that-is-as-long-as-helm-allows"
    names = [
        {(o["kind"], o["metadata"]["name"]) for o in objects(release=each)} for each in ("a", "b", long, long[:-1])
    ]
    assert sum(map(len, names)) == len(set().union(*names))


@every_profile
def test_line_03_no_name_is_longer_than_its_kind_may_have(name: str) -> None:
    long = "a-release-with-a-name-that-is-as-long-as-helm-allows"
    for each in objects(*profile(name), release=long):
        # KubeRay's bound for a RayJob; 52 leaves a StatefulSet's pods room for number and revision
        limit = {"RayJob": 47, "RayCluster": 53, "StatefulSet": 52}.get(each["kind"], 63)
        assert len(each["metadata"]["name"]) <= limit, each["metadata"]["name"]
        for value in each["metadata"].get("labels", {}).values():
            assert len(value) <= 63


def test_line_04_every_component_takes_what_pods_can_have() -> None:
    values = yaml.safe_load(VALUES.read_text())
    for component in COMPONENTS:
        assert set(EACH) <= set(values[component]), component
    with_all = pods(*profile("ci-everything"))
    for component in ("replay", "policy", "redis", "conductor", "actor", "learner"):
        pod = with_all[component]
        spec, first = pod["spec"], pod["spec"]["containers"][0]
        assert pod["metadata"]["annotations"]["example.com/note"] == "fleet"
        assert pod["metadata"]["labels"]["example.com/group"] == "a"
        for key in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"):
            assert spec[key]
        assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("high", "special")
        assert spec["terminationGracePeriodSeconds"] == 99
        assert [each["name"] for each in spec["initContainers"]] == ["before"]
        assert [each["name"] for each in spec["containers"][1:]] == ["beside"]
        assert first["env"][-1]["name"] == "NODE"
        assert first["envFrom"] == [{"configMapRef": {"name": "more"}}]
        assert first["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "1"]
        assert {"name": "more", "mountPath": "/more"} in first["volumeMounts"]
        assert {"name": "more", "emptyDir": {}} in spec["volumes"]


def test_line_04_gpus_and_shared_memory() -> None:
    learner = pods(*profile("gpu"))["learner"]["spec"]
    resources = learner["containers"][0]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == 1
    for component in ("conductor", "actor", "learner"):
        volume = next(each for each in pods()[component]["spec"]["volumes"] if each["name"] == "shm")
        assert volume["emptyDir"]["medium"] == "Memory"
        assert volume["emptyDir"]["sizeLimit"]


@every_profile
def test_line_05_pods_pass_the_restricted_pod_security_standard(name: str) -> None:
    for component, pod in pods(*profile(name)).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not context.get("privileged")
        main = spec["containers"][0]
        assert main["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"name": "tmp", "mountPath": "/tmp"} in main["volumeMounts"], component


@every_profile
def test_line_06_accounts_of_their_own_without_rights(name: str) -> None:
    found = objects(*profile(name))
    assert not [each for each in found if each["kind"] in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")]
    accounts = {each["metadata"]["name"] for each in found if each["kind"] == "ServiceAccount"}
    assert all(each["automountServiceAccountToken"] is False for each in found if each["kind"] == "ServiceAccount")
    used = [pod["spec"]["serviceAccountName"] for pod in pods(*profile(name)).values()]
    assert len(set(used)) == len(used)
    assert set(used) - accounts <= {"our-account"}
    talking = {
        component for component, pod in pods(*profile(name)).items() if pod["spec"]["automountServiceAccountToken"]
    }
    assert talking == ({"conductor"} if name == "ci-cluster" else set())


def test_line_07_probes_ask_the_process_itself() -> None:
    for component in ("replay", "policy", "redis"):
        container = pods()[component]["spec"]["containers"][0]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        assert "tcpSocket" in container["livenessProbe"]
    assert pods()["replay"]["spec"]["containers"][0]["readinessProbe"]["grpc"] == {"port": 7001}
    asked = pods(*profile("fleet"))["replay"]["spec"]["containers"][0]["readinessProbe"]["exec"]["command"]
    assert asked[:4] == ["python", "-m", "services.clients.probe", "localhost:7001"]
    assert "--certificate" in asked


def test_line_08_budgets_and_autoscaling() -> None:
    assert of_kind("PodDisruptionBudget") == {}
    assert set(of_kind("PodDisruptionBudget", *profile("fleet"))) == {"replay", "policy"}
    assert of_kind("Deployment")["policy"]["spec"]["replicas"] == 1
    for name, kind in (("fleet", "ScaledObject"), ("ci-cluster", "HorizontalPodAutoscaler")):
        assert "replicas" not in of_kind("Deployment", *profile(name))["policy"]["spec"]
        assert "ramp_policy_queue_items" in json.dumps(of_kind(kind, *profile(name))["policy"])
    for group in of_kind("RayCluster", *profile("ci-cluster"))["conductor"]["spec"]["workerGroupSpecs"]:
        assert "replicas" not in group
        assert group["minReplicas"] <= group["maxReplicas"]


def test_line_09_network_policies_can_be_widened_and_left_out() -> None:
    assert of_kind("NetworkPolicy", "--set=networkPolicy.enabled=false") == {}
    rule = '{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}'
    wider = of_kind("NetworkPolicy", f"--set-json=networkPolicy.extraIngress.policy=[{rule}]")["policy"]
    assert json.loads(rule) in wider["spec"]["ingress"]
    bucket = '{"to":[{"ipBlock":{"cidr":"10.1.0.0/16"}}]}'
    wider = of_kind("NetworkPolicy", f"--set-json=networkPolicy.extraEgress.replay=[{bucket}]")["replay"]
    assert json.loads(bucket) in wider["spec"]["egress"]


def test_line_10_secrets_are_given_or_made_once_and_kept() -> None:
    made = {each["metadata"]["name"]: each for each in objects() if each["kind"] == "Secret"}
    assert set(made) == {"fleet-ramp-tokens", "fleet-ramp-redis"}
    for each in made.values():
        assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "lookup" in (CHART / "templates" / "tokens.yaml").read_text()
    assert "lookup" in (CHART / "templates" / "redis.yaml").read_text()
    given = profile("ci-cluster")
    assert not [each for each in objects(*given) if each["kind"] == "Secret"]
    for name in ("our-tokens", "our-redis", "ray-token"):
        assert name in text(*given)
    before, after = pods()["replay"], pods("--set=settings.seed=3")["replay"]
    key = "checksum/config"
    assert before["metadata"]["annotations"][key] != after["metadata"]["annotations"][key]


def test_line_11_monitoring() -> None:
    everything = profile("ci-everything")
    for kind, components in (
        ("ServiceMonitor", {"replay", "policy"}),
        ("PodMonitor", {"conductor", "actor", "learner"}),
    ):
        found = of_kind(kind, *everything)
        assert set(found) == components
        for each in found.values():
            assert each["metadata"]["namespace"] == "monitoring"
            assert each["metadata"]["labels"]["release"] == "stack"
            for endpoint in each["spec"].get("endpoints") or each["spec"]["podMetricsEndpoints"]:
                targets = [rule["targetLabel"] for rule in endpoint["relabelings"]]
                assert targets[:2] == ["release", "component"]
                assert targets[-1] == "zone"
                assert endpoint["interval"] == "15s"
                assert endpoint["metricRelabelings"]
        assert of_kind(kind) == {}
    shard = of_kind("ServiceMonitor", *everything)["replay"]["spec"]["endpoints"][0]["relabelings"][2]
    assert (shard["targetLabel"], shard["replacement"]) == ("shard", "shard-$1")


def test_line_12_ray() -> None:
    cluster = of_kind("RayCluster", *profile("ci-cluster"))["conductor"]["spec"]
    assert cluster["upgradeStrategy"] == {"type": "Recreate"}
    assert cluster["gcsFaultToleranceOptions"]["backend"] == "rocksdb"
    assert cluster["authOptions"] == {"mode": "token", "secretName": "ray-token"}
    assert cluster["autoscalerOptions"]["securityContext"]["readOnlyRootFilesystem"] is True
    job = of_kind("RayJob", *profile("fleet"))["conductor"]["spec"]
    assert "upgradeStrategy" not in job["rayClusterSpec"], "KubeRay refuses it in a RayJob"
    options = job["rayClusterSpec"]["gcsFaultToleranceOptions"]
    assert options["redisAddress"] == "redis://redis.redis.svc:6379"
    assert options["redisPassword"]["valueFrom"]["secretKeyRef"]["name"] == "ramp-redis"
    assert {group["groupName"] for group in job["rayClusterSpec"]["workerGroupSpecs"]} == {"rollouts", "learners"}
    test = of_kind("Pod")["test"]
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert test["spec"]["containers"][0]["args"][:3] == ["python", "-m", "services.clients.smoke"]


def test_line_12_a_changed_ray_job_gets_another_name_and_an_unchanged_one_keeps_it() -> None:
    def name(*options: str) -> str:
        return str(of_kind("RayJob", *options)["conductor"]["metadata"]["name"])

    assert name() == name("--set=monitoring.podMonitor.enabled=true")
    assert name() != name("--set=image.tag=other")


def test_line_13_notes_name_three_commands_and_the_dangers() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    for command in ("helm test", "logs --follow", "port-forward"):
        assert command in notes
    for value in ("tls.enabled", "persistence.enabled", "max_gib", "networkPolicy.enabled", "ray.auth.enabled"):
        assert (
            f"WARNING: replay.{value}" in notes
            or f"WARNING: settings.retention.{value}" in notes
            or (f"WARNING: {value}" in notes)
        )
    assert "additionalLabels" in notes


def test_line_14_the_table_of_values_is_that_of_the_values() -> None:
    readme = (CHART / "README.md").read_text()
    assert with_table(readme, documented()) == readme, "run make manifests"
    assert (CHART / "UPGRADE.md").is_file()
    assert list((CHART / "ci").glob("*.yaml"))


def test_line_14_a_value_without_a_comment_is_found() -> None:
    with pytest.raises(ValueError, match=r"before a\.c$"):
        entries("a:\n  # -- Known.\n  b: 1\n  c: 2\n")


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_line_14_every_set_of_values_is_linted(helm: str) -> None:
    for name in PROFILES:
        assert "0 chart(s) failed" in lint(helm, *profile(name))


@pytest.mark.parametrize("version", schemas.versions())
def test_line_14_every_object_is_valid_in_every_kubernetes(version: str) -> None:
    unique = {json.dumps(each, sort_keys=True) for name in PROFILES for each in objects(*profile(name))}
    found = [
        f"{each['kind']} {each['metadata']['name']}: {why}"
        for each in map(json.loads, sorted(unique))
        for why in schemas.objections(each, version)
    ]
    assert found == []


@every_profile
def test_line_14_every_custom_resource_is_valid(name: str) -> None:
    for each in objects(*profile(name)):
        if schemas.is_custom(each) and each["kind"] not in schemas.UNKNOWN:
            assert schemas.crd_objections(each) == [], each["metadata"]["name"]


@every_profile
def test_line_15_both_helms_render_the_same(name: str) -> None:
    given = ("--set=tokens.existingSecret=t", "--set=redis.existingSecret=r")  # else random
    assert text(*profile(name), *given, helm="helm3") == text(*profile(name), *given, helm="helm4")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["replay.shards=0"], "set it to 1 or more"),
        (["learners.gpu.enabled=true"], "set learners.gpu.count to 1 or more"),
        (["policy.autoscaling.hpa.enabled=true", "policy.autoscaling.keda.enabled=true"], "enable one of them"),
        (["policy.autoscaling.keda.enabled=true"], "serverAddress"),
        (["redis.enabled=false"], "set redis.externalUrl"),
        (["redis.externalUrl=redis://:secret@a:1"], "put it into a Secret"),
        (["ray.gcsFaultTolerance.backend=redis"], "the bundled one keeps nothing"),
        (["tls.enabled=true"], "tls.existingSecret"),
        (["tls.enabled=true", "tls.certManager.enabled=true"], "name the Issuer"),
        (["settings.retention.max_gib=100"], "give at least 125Gi"),
        (["ray.autoscaling.enabled=true", "rollouts.minReplicas=9"], "lower it"),
        (["learners.gpu.enabled=true", "learners.gpu.count=1", r"learners.resources.limits.nvidia\.com/gpu=1"], "only"),
        (["replay.persistence.size=much"], "persistence"),
    ],
    ids=lambda each: each[0].split("=")[0] if isinstance(each, list) else "",
)
def test_a_bad_value_is_refused_with_a_remedy(options: list[str], says: str) -> None:
    assert says in refusal(*(f"--set={each}" for each in options))
