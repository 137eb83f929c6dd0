"""Reading schema and normalisation off the demonstrations."""

from __future__ import annotations

import numpy as np

from ramp.data.normalize import Normalizer
from ramp.errors import NotFound
from services.clients.replay import ReplayClient
from services.learner.progress import Basis

EPISODES = 256  # looked at, at most; spread over the table


def find_basis(replay: ReplayClient) -> Basis:
    """Raises NotFound where there are no demonstrations."""
    infos = replay.query(table="demos")
    if not infos:
        raise NotFound("the table demos is empty")
    chosen = infos[:: max(1, len(infos) // EPISODES)]
    episodes = [replay.fetch(info.episode_id) for info in chosen]
    proprio = np.concatenate([episode.steps.proprio for episode in episodes])
    action = np.concatenate([episode.steps.action for episode in episodes])
    return Basis(schema=episodes[0].header.schema, normalizer=Normalizer.fit(proprio, action))
