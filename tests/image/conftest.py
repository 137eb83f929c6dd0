"""The image that RAMP_IMAGE names, with an engine that can run it; without either, tests of it skip."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.image.built import BuiltImage


@pytest.fixture(scope="session")
def image() -> BuiltImage:
    name = os.environ.get("RAMP_IMAGE", "")
    engine = os.environ.get("RAMP_ENGINE", "") or next(filter(shutil.which, ("podman", "docker")), "")
    if not name or not shutil.which(engine):
        pytest.skip("no image to try; run: make image && RAMP_IMAGE=ramp-fleet:0.1.0-cpu make test")
    return BuiltImage(engine, name)
