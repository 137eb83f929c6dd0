"""What every test needs before anything is imported: pictures by software, as there may be neither GPU nor display."""

from __future__ import annotations

import os

os.environ.setdefault("MUJOCO_GL", "osmesa")
