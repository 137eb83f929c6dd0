"""Everything that is generated: dashboards and rules, by the path of their file."""

from __future__ import annotations

from services.dashboards.board import dashboard_file
from services.dashboards.fleet import FLEET
from services.dashboards.learner import LEARNER
from services.dashboards.release import RELEASE
from services.dashboards.replay import REPLAY
from services.dashboards.rollouts import ROLLOUTS
from services.dashboards.rules import rules_file
from services.dashboards.serving import SERVING

BOARDS = (FLEET, REPLAY, LEARNER, ROLLOUTS, SERVING, RELEASE)


def files() -> dict[str, str]:
    """Path below the chart -> text."""
    boards = {f"dashboards/{board.name}.json": dashboard_file(board, BOARDS) for board in BOARDS}
    return boards | {"rules/ramp.yaml": rules_file()}
