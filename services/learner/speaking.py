"""A learner process that speaks JSON lines to whoever has started it, and ends with a code."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from ramp.errors import RampError
from services.common.settings import Settings, compose

LOG = logging.getLogger("services.learner")


def speak(options: argparse.Namespace, work: Callable[[Settings], Iterator[dict[str, Any]]]) -> int:
    """Say what `work` says under the settings of `options.settings` and `options.overrides`; 0, or 1 with one line of
    what is wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        for said in work(compose("", options.settings, options.overrides)):
            print(json.dumps(said, allow_nan=False), flush=True)
    except RampError as error:
        LOG.error("%s", error)
        return 1
    return 0
