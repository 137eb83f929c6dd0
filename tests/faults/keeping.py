"""A process that stores, deletes and tidies up as fast as it can, saying what it is about to do and what is done.

    python -m tests.faults.keeping DIRECTORY FIRST SEED

A line an act, at once: "store 7", "stored 7", "delete 3 5", "deleted 3 5", "kept".
"""

from __future__ import annotations

import os
import random
import sys
from itertools import count
from pathlib import Path

from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from tests.experience import store_episode

LENGTH = 22
CONFIG = ShardConfig(segment_bytes=20_000)  # a few episodes each, so that there is always one to be written again


def say(*words: object) -> None:
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


def main(directory: str, first: str, seed: str) -> None:
    draw, shard = random.Random(int(seed)), Shard(Path(directory), CONFIG)
    alive = [int(info.episode_id) for info in shard.query()]
    for number in count(int(first)):
        say("store", number)
        store_episode(LocalReplay(shard), str(number), seed=number % 251, length=LENGTH)
        say("stored", number)
        alive.append(number)
        if len(alive) > 10:
            chosen = draw.sample(alive, 3)
            say("delete", *chosen)
            shard.delete(list(map(str, chosen)), "a test")
            say("deleted", *chosen)
            alive = [each for each in alive if each not in chosen]
            shard.keep()
            say("kept")


if __name__ == "__main__":
    main(*sys.argv[1:])
