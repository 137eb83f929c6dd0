"""Reading schema, normalisation and the words of thoughts off the demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ramp.data.normalize import Normalizer
from ramp.data.thoughts import ThoughtVocabulary
from ramp.errors import Invalid, NotFound
from ramp.models.vla.config import PolicyConfig
from ramp.types import Encoding, StepBatch
from services.clients.connect import AnyClient
from services.learner.progress import Basis

EPISODES = 256  # looked at, at most; spread over the table
CHUNKS = 2048  # that merges are learnt from, at most; spread over those episodes


def find_basis(replay: AnyClient, policy: PolicyConfig) -> Basis:
    """Raises NotFound where there are no demonstrations, Invalid where a policy is to think and they are unlabelled."""
    infos = replay.query(table="demos")
    if not infos:
        raise NotFound("the table demos is empty")
    steps = []
    for info in infos[:: -(-len(infos) // EPISODES)]:
        episode = replay.fetch(info.episode_id, decode=False)
        steps.append(replace(episode.steps, images={}))  # pictures are not kept
    normalizer = Normalizer.fit(
        np.concatenate([each.proprio for each in steps]), np.concatenate([each.action for each in steps])
    )
    thoughts = find_vocabulary(steps, normalizer, policy) if policy.thought else None
    schema = episode.header.schema.encoded(Encoding.RAW)  # models see pixels
    return Basis(schema=schema, normalizer=normalizer, thoughts=thoughts)


def find_vocabulary(episodes: Sequence[StepBatch], normalizer: Normalizer, policy: PolicyConfig) -> ThoughtVocabulary:
    """Merges of the subgoals and whole chunks that begin at these episodes' frames. Raises Invalid without any."""
    places = [
        (steps, row)
        for steps in episodes
        if steps.subgoal is not None
        for row in steps.frame_row.tolist()
        if row + policy.chunk <= len(steps)
    ]
    if not places:
        remedy = "keep false: no demonstration says what its steps were about (ramp/envs/hand.py)"
        raise Invalid("policy.thought", True, remedy)
    chosen = places[:: -(-len(places) // CHUNKS)]
    texts = [steps.subgoal[row] for steps, row in chosen if steps.subgoal is not None]
    chunks = normalizer.normalise_action(np.stack([steps.action[row : row + policy.chunk] for steps, row in chosen]))
    sizes = {"text_size": policy.text_vocabulary, "action_size": policy.action_vocabulary}
    return ThoughtVocabulary.fit(texts, chunks, **sizes)
