"""One model's pictures without a window, through MuJoCo's own calls.

`mujoco.Renderer` frees its GL objects in whatever context happens to be current: with several environments in a
process it deletes another one's textures, and that one goes on with black or foreign pictures. Here every call,
freeing included, first makes its own context current.
"""

from __future__ import annotations

import atexit
import weakref

import mujoco
import numpy as np

from ramp.envs.checks import GL_REMEDY
from ramp.errors import Invalid

MAX_GEOMS = 2000
OFF = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_SKYBOX,
    mujoco.mjtRndFlag.mjRND_HAZE,
)


class Offscreen:
    """A square picture at a time. Shadows, reflections and multisampling are off: they cost ten times the picture.

    Usage: update(data, camera), change `scene` if you like, draw(). Closed at the latest when it is forgotten.
    """

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        """Raises Invalid, naming package and setting, where GL is missing."""
        model.vis.quality.shadowsize = 0
        model.vis.quality.offsamples = 0
        model.vis.global_.offwidth = model.vis.global_.offheight = size
        try:
            self._gl = mujoco.GLContext(size, size)
            self._gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except (RuntimeError, AttributeError, ImportError, TypeError, mujoco.FatalError) as error:
            raise Invalid("MUJOCO_GL", f"rendering can't start ({error})", GL_REMEDY) from error
        self.close = weakref.finalize(self, release, self._gl, self._context)
        self.close.atexit = False  # would come after EGL's own end, as that was registered later ...
        atexit.register(self.close)  # ... but before this; a second call of `close` does nothing
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self.scene = mujoco.MjvScene(model, maxgeom=MAX_GEOMS)
        for flag in OFF:
            self.scene.flags[flag] = 0
        self._model, self._size = model, size
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR  # of both ways the one that keeps its precision
        self._option, self._perturbation = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._frame = mujoco.MjrRect(0, 0, size, size)

    def update(self, data: mujoco.MjData, camera: mujoco.MjvCamera) -> None:
        """Take the scene from the present state."""
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, self._perturbation, camera, everything, self.scene)

    def draw(self) -> np.ndarray:
        """uint8 [size, size, 3], RGB, top row first."""
        self._gl.make_current()
        picture = np.empty((self._size, self._size, 3), np.uint8)
        mujoco.mjr_render(self._frame, self.scene, self._context)
        mujoco.mjr_readPixels(picture, None, self._frame, self._context)
        return np.ascontiguousarray(picture[::-1])

    def distances(self) -> np.ndarray:
        """float64 [size, size]: metres along the camera's axis to what the picture drawn last shows, top row first.

        The buffer b runs from 0 at the far plane f to 1 at the near plane n: 1 / metres = 1 / f + b (1 / n - 1 / f).
        """
        self._gl.make_current()
        buffer = np.empty((self._size, self._size), np.float32)
        mujoco.mjr_readPixels(None, buffer, self._frame, self._context)
        near, far = (plane * self._model.stat.extent for plane in (self._model.vis.map.znear, self._model.vis.map.zfar))
        return 1.0 / (1.0 / far + buffer[::-1].astype(np.float64) * (1.0 / near - 1.0 / far))


def release(gl: mujoco.GLContext, context: mujoco.MjrContext) -> None:
    """Free what belongs to this context while it is the current one."""
    gl.make_current()
    context.free()
    gl.free()
