"""values.yaml as it is commented: `# --` before a key says what it is for; a key without holds others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

KEY = re.compile(r"^(?P<pad> *)(?P<key>[A-Za-z][\w.]*):")
DOC = re.compile(r"^ *# -- (?P<doc>.+)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value that is set as a whole."""

    path: tuple[str, ...]
    doc: str
    default: Any

    @property
    def name(self) -> str:
        """Dotted, as --set wants it."""
        return ".".join(self.path)


def entries(text: str) -> list[Entry]:
    """Every commented value, in the file's order. Raises ValueError for one without comment."""
    values = yaml.safe_load(text)
    found = [Entry(path, doc, _at(values, path)) for path, doc in _documented(text)]
    bare = sorted(set(_leaves(values, ())) - {each.path for each in found})
    bare = [path for path in bare if not any(path[: len(each.path)] == each.path for each in found)]
    if bare:
        raise ValueError(f"no `# --` comment before {', '.join('.'.join(path) for path in bare)}")
    return found


def _documented(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, comment), told by indentation: two spaces a level."""
    above: list[str] = []
    doc = ""
    for line in text.splitlines():
        comment, key = DOC.match(line), KEY.match(line)
        if comment:
            doc = comment["doc"]
        elif key:
            above = [*above[: len(key["pad"]) // 2], key["key"]]
            if doc:
                yield tuple(above), doc
            doc = ""


def _leaves(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(tree, dict) and tree:
        for key, below in tree.items():
            yield from _leaves(below, (*path, key))
    else:
        yield path


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree
