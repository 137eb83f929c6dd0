"""What a container of the built image can do, and what it cannot."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.image.built import BuiltImage
from tests.unit.sources import ROOT

ANY_USER = ("--user", "123456:0")  # as OpenShift chooses one
IMPORTS = "import deepspeed, torch, ray.train, pyarrow.flight, av, duckdb; torch.ones(2) @ torch.ones(2)"
FRAME = """
from ramp.envs import EnvConfig, make_env
env = make_env("reach-v3", EnvConfig())
env.reset(0)
print(*(len(set(frame.ravel().tolist())) for frame in env.render().values()))
"""  # how many brightnesses each picture has
SERVE = (
    "python -m services.replay.main --settings /etc/ramp/settings.yaml --dir /data/replay"
    " --host 0.0.0.0 --port 7001 --metrics-port 9101"
)


@pytest.mark.parametrize("program", ["python", "bash", "wget", "ray", "ramp"])
@pytest.mark.parametrize("shell", ["-c", "-lc"])
def test_what_kuberay_calls_is_on_the_path(image: BuiltImage, program: str, shell: str) -> None:
    image.run("bash", shell, f"{program} --version || {program} --help >/dev/null")


def test_the_heavy_libraries_load_where_nothing_can_be_written(image: BuiltImage) -> None:
    image.run("python", "-c", IMPORTS)


def test_meta_world_is_drawn_by_software(image: BuiltImage) -> None:
    shades = [int(word) for word in image.run("python", "-W", "ignore", "-c", FRAME).split()]

    assert min(shades) > 20


@pytest.mark.parametrize("options", [(), ANY_USER], ids=["uid 10001", "any uid in group 0"])
def test_the_doctor_is_content(image: BuiltImage, options: tuple[str, ...]) -> None:
    with image.volume() as volume:
        said = image.run(
            "ramp", "doctor", "--json", options=[*options, "--volume", f"{volume}:/runs", "--workdir", "/runs"]
        )

    assert json.loads(said)["ready"]


def test_there_is_no_compiler_and_no_header_package(image: BuiltImage) -> None:
    image.run("bash", "-c", "! command -v gcc cc c++ g++ clang ld as make pip")
    packages = image.run("dpkg-query", "--show", "--showformat", "${Package}\n").split()

    assert [
        name for name in packages if name.endswith("-dev") or re.match(r"gcc-\d+$|binutils|python3.*-venv", name)
    ] == []


def test_no_file_lends_its_owners_rights(image: BuiltImage) -> None:
    root = ("--user", "0:0", "--cap-add", "DAC_OVERRIDE")

    assert image.run("find", "/", "-xdev", "-type", "f", "-perm", "/6000", options=root) == ""


@pytest.mark.parametrize("options", [(), ANY_USER], ids=["uid 10001", "any uid in group 0"])
def test_the_user_may_write_to_volumes_and_temporary_folders_only(image: BuiltImage, options: tuple[str, ...]) -> None:
    find = r"find / \( -path /proc -o -path /sys -o -path /dev \) -prune -o -writable -not -type l -print"
    unreadable = "2>/dev/null || true"  # what may not be looked into may not be written to either
    found = image.run("bash", "-c", f"{find} {unreadable}", options=options, hardened=False).split()

    assert {path for path in found if not re.match("/(tmp|var/tmp|run)(/|$)", path)} == {"/runs", "/data"}


def test_the_bill_of_materials_names_what_the_lock_names(image: BuiltImage) -> None:
    variant = image.described()["Labels"]["org.opencontainers.image.version"].rpartition("-")[2]  # type: ignore[index]
    lock = (ROOT / "deploy" / "image" / f"{variant}.lock").read_text()
    locked = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    bill = json.loads(image.run("cat", "/usr/share/sbom/ramp.cdx.json"))
    named = {each["name"]: each["purl"].split("/")[0] for each in bill["components"]}

    assert {name for name, kind in named.items() if kind == "pkg:pypi"} == locked
    assert named["libosmesa6"] == named["tini"] == "pkg:deb"
    assert bill["metadata"]["component"]["name"] == "ramp-fleet"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.loop
def test_a_replay_server_answers_from_outside_and_its_health_check_agrees(image: BuiltImage, tmp_path: Path) -> None:
    port, settings = free_port(), tmp_path / "settings.yaml"
    settings.write_text("recipe: counting\nreplay.exposed: true\n")
    with image.volume() as volume:
        options = ["--volume", f"{volume}:/data", "--volume", f"{settings}:/etc/ramp/settings.yaml:ro"]
        options += ["--publish", f"127.0.0.1:{port}:7001"]
        with image.started(*SERVE.split(), options=options) as name:
            assert any(line.strip() == "0.0.0.0:7001" for line in image.lines(name))

            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            assert image.healthy(name)


@pytest.mark.loop
def test_a_whole_run_ends_under_a_read_only_root(image: BuiltImage) -> None:
    with image.volume() as volume:
        image.run("ramp", "run", "counting", "--dir", "/runs/x", options=["--volume", f"{volume}:/runs"])
        report = image.run("cat", "/runs/x/report.json", options=["--volume", f"{volume}:/runs"])

    assert json.loads(report)
