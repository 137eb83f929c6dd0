"""The cameras that can be named, known without loading a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Pose of a camera that is not part of the simulator's model. Metres and degrees."""

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float
    fovy: float  # vertical field of view

    @property
    def reach(self) -> tuple[float, float]:
        """Least and greatest distance in metres that a depth picture tells apart: half a table about `lookat`."""
        return self.distance - REACH, self.distance + REACH


REACH = 0.6  # metres before and behind what a view looks at


# Close views of the table in front of the arm, in which hand, object and goal are large at 64 pixels. `front` looks
# back at the arm from above (left-right and depth), `side` along the table's edge (depth and height).
VIEWS: Mapping[str, View] = {
    "front": View(lookat=(0.0, 0.64, 0.12), distance=1.5, azimuth=270, elevation=-62, fovy=34),
    "side": View(lookat=(0.0, 0.64, 0.14), distance=1.4, azimuth=162, elevation=-28, fovy=36),
}
FREE = "free"  # MuJoCo's own default view of the whole model
SAWYER = ("behindGripper", "corner", "corner2", "corner3", "corner4", "gripperPOV", "topview")  # of Meta-World's models
