"""What every test needs before anything is imported: pictures by software, as there may be neither GPU nor display; a
Ray that tells nobody of itself; and property tests that a busy machine may take its time over."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("MUJOCO_GL", "osmesa")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
