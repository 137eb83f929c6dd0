"""The way to the replay service, whatever the number of its shards.

with connect("127.0.0.1:7001", name="actor-0", spool=Path("spool/actor-0")) as replay: ...
with connect("shard-0=10.0.0.1:7001,shard-1=10.0.0.2:7001", name="learner-0", board=board) as replay: ...
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from services.clients.replay import ReplayClient
from services.clients.sharded import ShardedClient
from services.common.coordination import Coordination
from services.common.directory import Shard, parse

logger = logging.getLogger(__name__)

AnyClient = ReplayClient | ShardedClient


def connect(
    address: str, *, name: str, board: Coordination | None = None, spool: Path | None = None, **options: Any
) -> AnyClient:
    """A client of the shards that `address` names (services/common/directory.py) and of those that the notice board
    knows besides: a ReplayClient where there is one, else a ShardedClient, which goes on following the board.

    `options` are ReplayClient's. Below `spool` each shard has a folder and a bound of its own. Raises Invalid,
    Unavailable (a spool belongs to another process).
    """
    shards = parse(address) | ((board.shards() or {}) if board else {})
    reach = partial(_reach, name=name, spool=spool, options=options)
    if spool is not None:
        _warn_of_strays(spool, shards)
    if len(shards) == 1:
        return reach(*shards.values())
    return ShardedClient(shards, reach, board)


def _reach(shard: Shard, *, name: str, spool: Path | None, options: dict[str, Any]) -> ReplayClient:
    return ReplayClient(shard.address, name=name, spool=spool / shard.name if spool else None, **options)


def _warn_of_strays(spool: Path, shards: dict[str, Shard]) -> None:
    """An episode goes to the shard on which it began, or nowhere."""
    for folder in sorted(spool.glob("*/")):
        if folder.name not in shards and any(folder.glob("*.spool")):
            logger.warning("%s waits for the shard %s, which is not in the directory", folder, folder.name)
