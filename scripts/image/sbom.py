"""Prints the software bill of materials of the image in which it runs: CycloneDX 1.5, as JSON.

Python distributions from their metadata, Debian packages from dpkg's database. Sorted and without a time or a random
number, so that equal images have equal bills.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

STATUS = Path("/var/lib/dpkg/status")
OURS = "ramp-fleet"
Component = dict[str, object]


def main() -> int:
    """Always 0."""
    python = [python_component(each) for each in distributions()]
    debian = [debian_component(each) for each in debian_packages(STATUS.read_text(encoding="utf-8"))]
    json.dump(bill(python + debian), sys.stdout, indent=1, sort_keys=True)
    print()
    return 0


def bill(components: list[Component]) -> Component:
    """The document; this project is its subject, everything else a component."""
    ours = [each for each in components if each["name"] == OURS]
    others = sorted((each for each in components if each["name"] != OURS), key=lambda each: str(each["bom-ref"]))
    subject = {"metadata": {"component": {**ours[0], "type": "application"}}} if ours else {}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": others, **subject}


def python_component(distribution: Distribution) -> Component:
    """One installed distribution, with the licence that it declares."""
    name = re.sub(r"[-_.]+", "-", distribution.name).lower()
    metadata = distribution.metadata
    declared = metadata.get_all("License-Expression") or metadata.get_all("License") or []
    licences = [each for each in declared if each and "\n" not in each]  # some put the whole text there
    return _component(name, distribution.version, f"pkg:pypi/{name}@{quote(distribution.version)}", licences)


def debian_packages(status: str) -> Iterator[Mapping[str, str]]:
    """The installed ones, by the fields of dpkg's database."""
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            yield fields


def debian_component(fields: Mapping[str, str]) -> Component:
    """One Debian package; its source package is what security trackers name."""
    name, version = fields["Package"], fields["Version"]
    source = fields.get("Source", name).split(" ")[0]
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}&upstream={quote(source)}"
    return _component(name, version, purl, [])


def _component(name: str, version: str, purl: str, licences: list[str]) -> Component:
    named = [{"license": {"name": each}} for each in licences]
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl, "licenses": named}


if __name__ == "__main__":
    sys.exit(main())
