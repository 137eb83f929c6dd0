"""What several shards tell, put together as if they were one."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ramp.replay.info import AnnotateResult, EpisodeInfo, Limits, ReplayInfo, TableInfo
from ramp.replay.snapshot import Snapshot
from ramp.replay.views import ViewInfo

SUMMED = ("episodes", "items", "steps", "inserted_items", "sampled_items", "lead", "insert_wait_s", "sample_wait_s")
BY_TASK = ("episodes_by_task", "unseen_by_task", "dropped_by_task")
COUNTS = ("disk_bytes", "disk_free_bytes", "open_episodes", "quarantined_segments", "deleted_episodes")


def total_info(infos: Collection[ReplayInfo]) -> ReplayInfo:
    """Sums; bounds and the version of the labels are the lowest of any shard, so that all of them have reached it."""
    tables: dict[str, list[TableInfo]] = defaultdict(list)
    for info in infos:
        for table in info.tables:
            tables[table.name].append(table)
    counts: dict[str, Any] = {name: sum(getattr(info, name) for info in infos) for name in COUNTS}
    return ReplayInfo(
        tables=tuple(_total_table(name, each) for name, each in tables.items()),
        limits=_lowest([info.limits for info in infos]),
        annotation_version=min(info.annotation_version for info in infos),
        now=max(info.now for info in infos),
        **counts,
    )


def _total_table(name: str, tables: Sequence[TableInfo]) -> TableInfo:
    sums: dict[str, Any] = {each: sum(getattr(table, each) for table in tables) for each in SUMMED}
    sums |= {each: _added([getattr(table, each) for table in tables]) for each in BY_TASK}
    labelled = sum(table.labelled * table.items for table in tables) / max(sums["items"], 1)
    return TableInfo(name=name, labelled=labelled, **sums)


def _added(counts: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return dict(found)


def _lowest(limits: Sequence[Limits]) -> Limits:
    return Limits(
        max_message_bytes=min(each.max_message_bytes for each in limits),
        max_steps_per_batch=min(each.max_steps_per_batch for each in limits),
        max_episode_steps=min(each.max_episode_steps for each in limits),
    )


def total_result(results: Collection[AnnotateResult]) -> AnnotateResult:
    """Of one generation on all shards."""
    items = sum(each.items for each in results)
    positive = sum(each.positive * each.items for each in results)
    return AnnotateResult(
        episodes=sum(each.episodes for each in results), items=items, positive=positive / max(items, 1)
    )


def merged_episodes(lists: Iterable[Sequence[EpisodeInfo]], limit: int = 0) -> list[EpisodeInfo]:
    """By the time at which they ended, each shard's own order kept; `limit` 0: all."""
    found = list(heapq.merge(*lists, key=lambda info: info.ended_at))
    return found[:limit] if limit else found


def merged_snapshots(lists: Iterable[Sequence[Snapshot]]) -> list[Snapshot]:
    """Those of one name as one: taken when the last was, with every shard's path. Oldest first."""
    named: dict[str, list[Snapshot]] = defaultdict(list)
    for each in lists:
        for snapshot in each:
            named[snapshot.name].append(snapshot)
    return sorted((_one_moment(each) for each in named.values()), key=lambda each: each.taken_at)


def _one_moment(snapshots: Sequence[Snapshot]) -> Snapshot:
    return Snapshot(
        name=snapshots[0].name,
        taken_at=max(each.taken_at for each in snapshots),
        episodes=sum(each.episodes for each in snapshots),
        bytes=sum(each.bytes for each in snapshots),
        path=", ".join(each.path for each in snapshots),
    )


def merged_views(lists: Iterable[Sequence[ViewInfo]]) -> list[ViewInfo]:
    """Those of one name as one. Oldest first."""
    named: dict[str, list[ViewInfo]] = defaultdict(list)
    for each in lists:
        for view in each:
            named[view.name].append(view)
    return sorted((_one_view(each) for each in named.values()), key=lambda each: each.created_at)


def _one_view(views: Sequence[ViewInfo]) -> ViewInfo:
    return ViewInfo(
        name=views[0].name,
        query=views[0].query,
        created_at=max(each.created_at for each in views),
        episodes=sum(each.episodes for each in views),
    )
