"""Pictures of a MuJoCo scene: named views, one renderer for all of them, nothing drawn that no one needs.

The process must have MUJOCO_GL set before MuJoCo is imported: osmesa (software, Debian package libosmesa6) or egl
(libegl1). This package never reads or sets environment variables; whoever starts the process does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from ramp.envs.checks import GL_REMEDY, unknown
from ramp.errors import Invalid


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Pose of a camera that is not part of the simulator's model. Metres and degrees."""

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float
    fovy: float  # vertical field of view


# Close views of the table in front of the arm, in which hand, object and goal are large at 64 pixels. `front` looks
# back at the arm from above (left-right and depth), `side` along the table's edge (depth and height).
VIEWS: Mapping[str, View] = {
    "front": View(lookat=(0.0, 0.64, 0.12), distance=1.5, azimuth=270, elevation=-62, fovy=34),
    "side": View(lookat=(0.0, 0.64, 0.14), distance=1.4, azimuth=162, elevation=-28, fovy=36),
}

# Meshes of the arm that the close views hardly touch and that hold half of all triangles.
UNSEEN = ("pedestal", "base", "l0", "head", "l1")

OFF = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_SKYBOX,
    mujoco.mjtRndFlag.mjRND_HAZE,
)


class Cameras:
    """All cameras of one model. Shadows, reflections and multisampling are off: they cost ten times the picture.
    The gripper is drawn by its convex hull; where only close views are asked for, the far links are left out. Both
    together halve what remains. Neither touches the physics."""

    def __init__(self, model: mujoco.MjModel, names: Sequence[str], size: int) -> None:
        """Raises Invalid for an unknown camera."""
        known = {model.camera(i).name for i in range(model.ncam)} | set(VIEWS)
        for name in names:
            if name not in known:
                raise unknown("env.cameras", name, known)
        model.vis.quality.shadowsize = 0
        model.vis.quality.offsamples = 0
        if set(names) <= set(VIEWS):
            hide_meshes(model, UNSEEN)
        self._model, self._names, self._size = model, tuple(names), size
        self._hulls = robot_hulls(model)
        self._renderer: mujoco.Renderer | None = None

    def frames(self, data: mujoco.MjData) -> dict[str, np.ndarray]:
        """camera -> uint8 [size, size, 3], upright RGB. Raises Invalid where rendering can't start."""
        if self._renderer is None:
            self._renderer = start_renderer(self._model, self._size)
        return {name: self._frame(self._renderer, data, name) for name in self._names}

    def _frame(self, renderer: mujoco.Renderer, data: mujoco.MjData, name: str) -> np.ndarray:
        view = VIEWS.get(name)
        if view is None:
            renderer.update_scene(data, camera=name)
        else:
            self._model.vis.global_.fovy = view.fovy
            renderer.update_scene(data, camera=free_camera(view))
        self._simplify(renderer.scene)
        picture = renderer.render()
        return np.ascontiguousarray(picture[::-1, ::-1]) if name == "corner2" else picture  # it hangs upside down

    def _simplify(self, scene: mujoco.MjvScene) -> None:
        for index in range(scene.ngeom):
            geom = scene.geoms[index]
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.objid in self._hulls:
                geom.dataid = self._hulls[geom.objid]

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


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


def free_camera(view: View) -> mujoco.MjvCamera:
    """MuJoCo's camera at the view's pose; its field of view is a setting of the model, not of the camera."""
    camera = mujoco.MjvCamera()
    camera.lookat[:] = view.lookat
    camera.distance, camera.azimuth, camera.elevation = view.distance, view.azimuth, view.elevation
    return camera


def start_renderer(model: mujoco.MjModel, size: int) -> mujoco.Renderer:
    """A renderer of size x size pixels. Raises Invalid, naming package and setting, where GL is missing."""
    try:
        renderer = mujoco.Renderer(model, size, size)
    except (RuntimeError, AttributeError, ImportError, mujoco.FatalError) as error:
        raise Invalid("MUJOCO_GL", f"rendering can't start ({error})", GL_REMEDY) from error
    for flag in OFF:
        renderer.scene.flags[flag] = 0
    return renderer


def check_rendering() -> None:
    """Draw one small picture. Raises Invalid, naming package and setting, where that fails."""
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = start_renderer(model, 16)
    renderer.update_scene(data)
    renderer.render()
    renderer.close()
