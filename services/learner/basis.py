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
    chosen = infos[:: -(-len(infos) // EPISODES)]
    proprio, action = [], []
    for info in chosen:
        episode = replay.fetch(info.episode_id)  # with its pictures, so it is not kept
        proprio.append(episode.steps.proprio)
        action.append(episode.steps.action)
    normalizer = Normalizer.fit(np.concatenate(proprio), np.concatenate(action))
    return Basis(schema=episode.header.schema, normalizer=normalizer)
