"""The cameras of a MuJoCo model: named views, one renderer for all of them, nothing drawn that no one needs.

The process must have MUJOCO_GL set before MuJoCo is imported: osmesa (software, Debian package libosmesa6) or egl
(libegl1). This package never reads or sets environment variables; whoever starts the process does.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from ramp.envs.checks import unknown
from ramp.envs.depth import nearness
from ramp.envs.offscreen import Offscreen
from ramp.envs.views import FREE, VIEWS

# Meshes of the arm that the close views hardly touch and that hold half of all triangles.
UNSEEN = ("pedestal", "base", "l0", "head", "l1")
DEPTH_RANGE = (0.1, 2.0)  # of a camera that is none of VIEWS, in extents of the model


class Cameras:
    """All cameras of one model. The gripper is drawn by its convex hull; where only close views are asked for, the
    far links are left out. Both together halve the time of a picture, and neither touches the physics."""

    def __init__(self, model: mujoco.MjModel, names: Sequence[str], size: int, *, depth: bool = False) -> None:
        """With `depth`, frames have it as a fourth channel. Raises Invalid for an unknown camera."""
        known = {model.camera(i).name for i in range(model.ncam)} | set(VIEWS) | {FREE}
        for name in names:
            if name not in known:
                raise unknown("env.cameras", name, known)
        if set(names) <= set(VIEWS):
            hide_meshes(model, UNSEEN)
        self._model, self._size, self._depth = model, size, depth
        self._poses = {name: pose(model, name) for name in names}
        self._fovy = float(model.vis.global_.fovy)
        self._hulls = robot_hulls(model)
        self._screen: Offscreen | None = None

    def frames(self, data: mujoco.MjData) -> dict[str, np.ndarray]:
        """camera -> uint8 [size, size, 3], upright RGB, or [size, size, 4] with ramp.envs.depth.nearness between the
        distances of `View.reach`, DEPTH_RANGE for other cameras. Raises Invalid where rendering can't start."""
        if self._screen is None:
            self._screen = Offscreen(self._model, self._size)
        return {name: self._frame(self._screen, data, name) for name in self._poses}

    def _frame(self, screen: Offscreen, data: mujoco.MjData, name: str) -> np.ndarray:
        # Of all free cameras: a setting of the model, so each picture sets its own.
        self._model.vis.global_.fovy = VIEWS[name].fovy if name in VIEWS else self._fovy
        screen.update(data, self._poses[name])
        self._simplify(screen.scene)
        picture = screen.draw()
        if self._depth:
            picture = np.dstack([picture, nearness(screen.distances(), *self._reach(name))])
        return np.ascontiguousarray(picture[::-1, ::-1]) if name == "corner2" else picture  # it hangs upside down

    def _reach(self, name: str) -> tuple[float, float]:
        near, far = DEPTH_RANGE
        extent = float(self._model.stat.extent)
        return VIEWS[name].reach if name in VIEWS else (near * extent, far * extent)

    def _simplify(self, scene: mujoco.MjvScene) -> None:
        for index in range(scene.ngeom):
            geom = scene.geoms[index]
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.objid in self._hulls:
                geom.dataid = self._hulls[geom.objid]

    def close(self) -> None:
        if self._screen is not None:
            self._screen.close()
            self._screen = None


def pose(model: mujoco.MjModel, name: str) -> mujoco.MjvCamera:
    """Where a named camera stands: one of VIEWS, the free camera, or one of the model's own."""
    camera, view = mujoco.MjvCamera(), VIEWS.get(name)
    mujoco.mjv_defaultFreeCamera(model, camera)
    if view is not None:
        camera.lookat[:] = view.lookat
        camera.distance, camera.azimuth, camera.elevation = view.distance, view.azimuth, view.elevation
    elif name != FREE:
        camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        camera.fixedcamid = model.camera(name).id
    return camera


def hide_meshes(model: mujoco.MjModel, names: Sequence[str]) -> None:
    """Move the geoms that show these meshes to the last group, which MuJoCo draws only on request."""
    for index in mesh_geoms(model):
        if model.mesh(model.geom_dataid[index]).name in names:
            model.geom_group[index] = mujoco.mjNGROUP - 1


def robot_hulls(model: mujoco.MjModel) -> dict[int, int]:
    """geom -> drawable of its convex hull, for the arm's meshes that have one. Objects keep their true shape."""
    robot = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "base")
    arm = [index for index in mesh_geoms(model) if model.body_rootid[model.geom_bodyid[index]] == robot]
    meshes = {index: int(model.geom_dataid[index]) for index in arm}
    return {index: 2 * mesh + 1 for index, mesh in meshes.items() if model.mesh_graphadr[mesh] >= 0}


def mesh_geoms(model: mujoco.MjModel) -> list[int]:
    return [index for index in range(model.ngeom) if model.geom_type[index] == mujoco.mjtGeom.mjGEOM_MESH]


def check_rendering() -> None:
    """Draw one small picture. Raises Invalid, naming package and setting, where that fails."""
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    cameras = Cameras(model, (FREE,), 16)
    cameras.frames(data)
    cameras.close()
