"""Several shards behind one door: what is asked of all of them at once, whether they lie here or behind a wire."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from ramp.errors import Conflict, NotFound, RampError, Timeout, Unavailable
from ramp.replay.info import EpisodeInfo
from ramp.replay.snapshot import Snapshot
from ramp.replay.totals import merged_snapshots, merged_views
from ramp.replay.views import ViewInfo
from ramp.types import Episode

Answer = TypeVar("Answer")


class Part(Protocol):
    """What a shard has to offer, near or far."""

    def query(self, table: str = "", unlabelled_by: int = 0, limit: int = 0) -> list[EpisodeInfo]: ...

    def fetch(self, episode_id: str, *, decode: bool = True) -> Episode: ...

    def delete(self, episode_ids: Sequence[str], reason: str) -> int: ...

    def snapshot(self, name: str) -> Snapshot: ...

    def snapshots(self) -> list[Snapshot]: ...

    def drop_snapshot(self, name: str) -> None: ...

    def view(self, name: str, episode_ids: Sequence[str], query: str = "") -> ViewInfo: ...

    def views(self) -> list[ViewInfo]: ...

    def drop_view(self, name: str) -> None: ...


P = TypeVar("P", bound=Part)


class Together(Generic[P]):
    """Shards by name. Where one of them does not answer, what needs all of them raises Unavailable with its name."""

    def parts(self) -> Mapping[str, P]:
        """The shards that there are now."""
        raise NotImplementedError

    def likely(self, episode_id: str) -> Sequence[str]:
        """All shards, those first that most likely hold the episode."""
        return list(self.parts())

    def attempt(self, ask: Callable[[str, P], Answer]) -> tuple[dict[str, Answer], dict[str, RampError]]:
        """Ask all shards, by name, at the same time: answers and errors by shard."""
        parts = self.parts()
        answers: dict[str, Answer] = {}
        errors: dict[str, RampError] = {}
        with ThreadPoolExecutor(len(parts), thread_name_prefix="shards") as pool:
            pending = {name: pool.submit(ask, name, part) for name, part in parts.items()}
            for name, future in pending.items():
                try:
                    answers[name] = future.result()
                except RampError as error:
                    errors[name] = error
        return answers, errors

    def all_of(self, ask: Callable[[str, P], Answer]) -> dict[str, Answer]:
        """Every shard's answer. Raises what the first one raised that did not answer."""
        answers, errors = self.attempt(ask)
        raise_first(errors)
        return answers

    def fetch(self, episode_id: str, *, decode: bool = True) -> Episode:
        """A whole episode from the shard that has it, with pixels or as it is stored. Raises NotFound, Corrupt,
        Unavailable."""
        return self._found(episode_id, lambda part: part.fetch(episode_id, decode=decode))

    def holders(self) -> dict[str, str]:
        """Ended episode -> its shard. Raises Unavailable."""
        answers = self.all_of(lambda _, part: part.query())
        return {info.episode_id: name for name, infos in answers.items() for info in infos}

    def delete(self, episode_ids: Sequence[str], reason: str) -> int:
        """Forget ended episodes for good; how many there were. Their ids stay taken.

        Raises NotFound for an id that never was, Conflict for an open episode, Invalid; then none is deleted. Where a
        shard goes away in the middle of it (Unavailable), those of the others are deleted: call again.
        """
        groups, unknown = self._grouped(episode_ids)
        deleted, parts = 0, self.parts()
        for each in unknown:  # deleted before, which changes nothing, or refused
            deleted += self._found(each, lambda part, each=each: part.delete([each], reason))  # type: ignore[misc]
        return deleted + sum(parts[name].delete(group, reason) for name, group in groups.items())

    def snapshot(self, name: str) -> Snapshot:
        """Keep this moment of every shard under one name: on all of them or on none. They are not the same instant, and
        need not be: an episode lies on one shard. `path` names every shard's.

        Raises Invalid, Conflict, Full, Unavailable.
        """
        taken = self._all_or_none(lambda _, part: part.snapshot(name), lambda part: part.drop_snapshot(name))
        return merged_snapshots([[each] for each in taken])[0]

    def snapshots(self) -> list[Snapshot]:
        """Oldest first. Raises Unavailable."""
        return merged_snapshots(self.all_of(lambda _, part: part.snapshots()).values())

    def drop_snapshot(self, name: str) -> None:
        """On every shard that has it. Raises NotFound where none has, Unavailable."""
        self.wherever(lambda _, part: part.drop_snapshot(name))

    def view(self, name: str, episode_ids: Sequence[str], query: str = "") -> ViewInfo:
        """Make a table of these ended episodes on every shard that has one of them, or on none. A shard without any
        does not know the table, and is left out by whoever samples it.

        Raises Invalid, Conflict, NotFound for an episode that has not ended, Full, Unavailable.
        """
        if any(each.name == name for each in self.views()):
            raise Conflict("name", name, "a view has that name; drop it first, or use another")
        groups, unknown = self._grouped(episode_ids)
        for each in unknown:
            raise NotFound(f"episode {each[:160]!r} has not ended on any shard; ask Query for those that have")
        if not groups:
            groups = {next(iter(self.parts())): []}  # which refuses it

        def make(shard: str, part: P) -> ViewInfo | None:
            return part.view(name, groups[shard], query) if shard in groups else None

        made = self._all_or_none(make, lambda part: part.drop_view(name))
        return merged_views([[each] for each in made if each])[0]

    def views(self) -> list[ViewInfo]:
        """Oldest first. Raises Unavailable."""
        return merged_views(self.all_of(lambda _, part: part.views()).values())

    def drop_view(self, name: str) -> None:
        """On every shard that has it; its episodes stay. Raises NotFound where none has, Unavailable."""
        self.wherever(lambda _, part: part.drop_view(name))

    def wherever(self, ask: Callable[[str, P], Answer]) -> dict[str, Answer]:
        """The answers of those shards that know what is asked for. Raises NotFound where none does."""
        answers, errors = self.attempt(ask)
        raise_first({name: error for name, error in errors.items() if not (answers and isinstance(error, NotFound))})
        return answers

    def _all_or_none(self, make: Callable[[str, P], Answer], undo: Callable[[P], None]) -> list[Answer]:
        """What all shards have made; where one could not, the others undo it."""
        made, errors = self.attempt(make)
        for name in made if errors else ():
            if made[name] is not None:
                undo(self.parts()[name])
        raise_first(errors)
        return list(made.values())

    def _grouped(self, episode_ids: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
        """The ids by the shard that holds them, and those that none holds. Raises Unavailable."""
        held, groups = self.holders(), defaultdict[str, list[str]](list)
        ids = list(dict.fromkeys(episode_ids))
        for each in ids:
            if each in held:
                groups[held[each]].append(each)
        return dict(groups), [each for each in ids if each not in held]

    def _found(self, episode_id: str, ask: Callable[[P], Answer]) -> Answer:
        """The answer of the first shard that knows the episode; the likeliest one's refusal where none does."""
        refused: NotFound | None = None
        parts = self.parts()
        for name in self.likely(episode_id):
            try:
                return ask(parts[name])
            except NotFound as error:
                refused = refused or error
        assert refused is not None
        raise refused


def raise_first(errors: Mapping[str, RampError]) -> None:
    """What has no remedy here first; a shard that is away is named."""
    ordered = sorted(errors.items(), key=lambda item: isinstance(item[1], Unavailable | Timeout))
    for name, error in ordered:
        if isinstance(error, Unavailable | Timeout):
            raise type(error)(f"{name}: {error}") from error
        raise error
