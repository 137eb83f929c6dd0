"""The scripts that make the locks and the bill of materials, on small inputs."""

from __future__ import annotations

from importlib.metadata import distribution
from typing import Any

import pytest

from scripts.image import lock, parts, sbom

STATUS = """Package: tini
Status: install ok installed
Architecture: amd64
Version: 0.19.0-1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libc6
Status: install ok installed
Source: glibc (2.36)
Architecture: amd64
Version: 2.36-9+deb12u14
"""


def installed(name: str, checksum: str = "ab") -> dict[str, Any]:
    archive = {"hashes": {"sha256": checksum}} if checksum else {}
    return {
        "metadata": {"name": name, "version": "1.0"},
        "download_info": {"url": "file:///x.whl", "archive_info": archive},
    }


def test_a_lock_is_sorted_and_leaves_this_project_out() -> None:
    report = [installed("torch"), installed("Jinja2"), installed("ramp-fleet", "")]

    assert lock.lines(report) == ["Jinja2==1.0 --hash=sha256:ab", "torch==1.0 --hash=sha256:ab"]


def test_a_package_without_a_checksum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no checksum of torch 1\.0"):
        lock.lines([installed("torch", "")])


@pytest.mark.parametrize(("name", "torch"), [("cpu", "torch==2"), ("cuda", "torch==2+cpu")])
def test_the_other_variants_torch_is_refused(name: str, torch: str) -> None:
    with pytest.raises(ValueError, match="another torch"):
        lock.check_torch(name, torch)


def test_only_installed_debian_packages_are_named_with_their_sources() -> None:
    named = [sbom.debian_component(each)["purl"] for each in sbom.debian_packages(STATUS)]

    assert named == [
        "pkg:deb/debian/tini@0.19.0-1?arch=amd64&upstream=tini",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&upstream=glibc",
    ]


def test_the_bill_is_sorted_and_about_this_project() -> None:
    ours = {"name": "ramp-fleet", "bom-ref": "r"}
    bill = sbom.bill([{"name": "b", "bom-ref": "b"}, ours, {"name": "a", "bom-ref": "a"}])

    assert [each["name"] for each in bill["components"]] == ["a", "b"]  # type: ignore[attr-defined]
    assert bill["metadata"] == {"component": {**ours, "type": "application"}}


def test_a_distribution_is_named_as_the_index_names_it() -> None:
    found = sbom.python_component(distribution("PyYAML"))

    assert found["purl"] == f"pkg:pypi/pyyaml@{found['version']}"


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (f"{parts.SITE}torch/lib/libtorch_cpu.so", "torch 2"),
        (f"{parts.SITE}stray.py", "Python, other"),
        ("/usr/lib/x86_64-linux-gnu/libLLVM-15.so.1", "libllvm15 (Debian)"),
        ("/usr/bin/tini", "tini (Debian)"),
        ("/etc/passwd", "system, other"),
    ],
)
def test_every_file_belongs_to_a_part(path: str, owner: str) -> None:
    debian = {"/usr/lib/x86_64-linux-gnu/libLLVM-15.so.1": "libllvm15 (Debian)", "/bin/tini": "tini (Debian)"}

    assert parts.part(path, debian, {"torch": "torch 2"}) == owner
