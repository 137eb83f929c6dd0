"""The one configuration system: a recipe, a YAML file and `a.b=c` overrides become one validated value.

    recipe (ramp/recipes) -> file -> overrides -> types -> ranges -> rules between settings (limits.py)

A key that does not exist, or a value that does not fit, is refused by `ramp.errors.Invalid` with its dotted name and,
where there is one, the nearest valid name. This is the only file that reads environment variables.
"""

from __future__ import annotations

import difflib
import inspect
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_origin, get_type_hints
from urllib.parse import quote, urlsplit, urlunsplit

import yaml
from pydantic import TypeAdapter, ValidationError

from ramp.errors import Invalid, NotFound
from ramp.recipes import RECIPES
from ramp.recipes.recipe import Recipe
from ramp.replay.retention import RetentionConfig
from services.common.limits import check_range, check_rules
from services.common.place import (
    ActorsPlace,
    LearnerPlace,
    MetricsPlace,
    RayPlace,
    RedisPlace,
    ReleasePlace,
    ReplayPlace,
    ServingPlace,
)
from services.common.private import write_private

DEFAULT_RECIPE = "metaworld"


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """A recipe and its place: all that a process of the run has to know.

    Example: compose("debug", None, ["actors.count=1", "training.policy_lr=3e-4"])
    """

    recipe: str = DEFAULT_RECIPE  # the recipe that the values started from
    dir: str = "runs/latest"  # the run's directory: settings, replay, registry, checkpoints, logs, report
    learner: LearnerPlace = field(default_factory=LearnerPlace)
    actors: ActorsPlace = field(default_factory=ActorsPlace)
    replay: ReplayPlace = field(default_factory=ReplayPlace)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    serving: ServingPlace = field(default_factory=ServingPlace)
    release: ReleasePlace = field(default_factory=ReleasePlace)
    redis: RedisPlace = field(default_factory=RedisPlace)
    ray: RayPlace = field(default_factory=RayPlace)
    metrics: MetricsPlace = field(default_factory=MetricsPlace)


class Row(NamedTuple):
    """One line of `--show`."""

    key: str  # dotted
    type: str
    value: str
    doc: str


def compose(recipe_name: str, file: Path | None, overrides: Sequence[str]) -> Settings:
    """The settings of a run; later layers win. An empty `recipe_name` means the file's, else the default one.

    The recipe decides which settings there are, because it chooses the size of both models; a file that `save` wrote
    names its recipe, so it gives the same types again.

    Raises Invalid (unknown recipe, key or value) and NotFound (no such file).
    """
    layer = _read(file) if file else {}
    named = layer.pop("recipe", "") or DEFAULT_RECIPE
    settings = _base(recipe_name or str(named))
    keys = _keys(settings)
    values = dict(_flatten(layer, "", keys)) | dict(_parse_override(text, keys) for text in overrides)
    return _validated(settings, values, keys)


def load_settings(path: str | Path) -> Settings:
    """The settings that `save` wrote into a run's directory, which may have been moved since: `dir` is where the file
    lies now. Raises Invalid and NotFound."""
    return replace(compose("", Path(path), []), dir=str(Path(path).resolve().parent))


def save(settings: Settings, path: Path) -> None:
    """Write every setting, so that a resumed run has the same ones whatever the defaults have become. Others may not
    read it: `redis.url` may hold a password."""
    text = yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True, width=120)
    write_private(path, text.encode())


def describe(settings: Settings) -> list[Row]:
    """Every setting with its type, value and meaning, in the order of the classes."""
    keys = _keys(settings)
    return [Row(key, _type_name(leaf.type), _text(_get(settings, key)), leaf.doc) for key, leaf in keys.items()]


def child_environment(**extra: str) -> dict[str, str]:
    """The environment for a child process: this one's, software rendering unless chosen otherwise, then `extra`."""
    return {**os.environ, "MUJOCO_GL": mujoco_gl(), **extra}


def mujoco_gl() -> str:
    """How MuJoCo renders; `osmesa` needs neither a GPU nor a display."""
    return os.environ.get("MUJOCO_GL") or "osmesa"


def redis_url(settings: Settings) -> str:
    """Of the Redis that runs already, with the password that only the environment knows; "" where the conductor starts
    one. A password in the URL itself comes first."""
    parts, password = urlsplit(settings.redis.url), os.environ.get("RAMP_REDIS_PASSWORD", "")
    if not settings.redis.url or parts.password or not password:
        return settings.redis.url
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{place}"))


def keep_ray_quiet() -> None:
    """Before Ray starts: it sends no usage statistics unless the user's environment asks for them."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


# ------------------------------------------------------------------------------------------------ keys


class _Leaf(NamedTuple):
    type: Any
    doc: str


Keys = Mapping[str, _Leaf]


def _keys(settings: Settings) -> Keys:
    """Every setting by its dotted name."""
    return dict(_below(settings, ""))


def _below(tree: Any, prefix: str) -> Iterator[tuple[str, _Leaf]]:
    """Of a group as it is, whatever size of it the recipe has chosen."""
    leaves = _leaves(tree.__class__)
    for each in fields(tree):
        key, value = prefix + each.name, getattr(tree, each.name)
        if is_dataclass(value):
            yield from _below(value, key + ".")
        else:
            yield key, leaves[each.name]


@cache
def _leaves(cls: Any) -> dict[str, _Leaf]:
    hints, docs = get_type_hints(cls), _docs(cls)
    return {each.name: _Leaf(hints[each.name], docs.get(each.name, "")) for each in fields(cls)}


def _docs(cls: type) -> dict[str, str]:
    """The comment behind each field: the doc stands where the number stands, nowhere else."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__[:-1]):
        found.update(re.findall(r"^    (\w+):[^#\n]*#\s*(.*)$", inspect.getsource(each), re.MULTILINE))
    return found


def _unknown(key: str, keys: Keys) -> Invalid:
    names = list(keys)
    others = [name for name in RECIPES if key in _keys(_base(name))]
    if others:
        return Invalid(key, "no such setting in this recipe", f"it is a setting of: {', '.join(others)}")
    same_end = [name for name in names if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    near = same_end + difflib.get_close_matches(key, names, n=3, cutoff=0.6)
    near = list(dict.fromkeys(near))[:3] or difflib.get_close_matches(key, _groups(keys), n=1, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`ramp run --show` lists every setting"
    return Invalid(key, "no such setting", hint)


# ---------------------------------------------------------------------------------------------- layers


def _base(name: str) -> Settings:
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise Invalid("recipe", name, f"{hint}there are: {', '.join(RECIPES)}")
    recipe = RECIPES[name]()
    return Settings(recipe=name, **{each.name: getattr(recipe, each.name) for each in fields(Recipe)})


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise NotFound(f"settings file {file} does not exist")
    try:
        layer = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid("settings file", file, f"write valid YAML: {error}") from error
    if layer is not None and not isinstance(layer, dict):
        raise Invalid("settings file", file, "write `key: value` lines")
    return layer or {}


def _flatten(layer: Mapping[Any, Any], prefix: str, keys: Keys) -> Iterator[tuple[str, Any]]:
    """Nested and dotted keys alike; a group with a value instead of settings is refused."""
    groups = _groups(keys)
    for name, value in layer.items():
        key = f"{prefix}{name}"
        if key in groups and isinstance(value, Mapping):
            yield from _flatten(value, key + ".", keys)
        elif key in groups and value is not None:
            raise Invalid(key, value, f"this is a group; set one of {', '.join(_members(key, keys))}")
        elif key not in groups:
            yield key, value


def _groups(keys: Keys) -> list[str]:
    return sorted({key.rsplit(".", 1)[0] for key in keys if "." in key})


def _members(group: str, keys: Keys) -> list[str]:
    return [key for key in keys if key.startswith(group + ".")]


def _parse_override(text: str, keys: Keys) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Invalid(key.strip(), "no value", "write key=value, e.g. training.policy_lr=3e-4")
    key = key.strip()
    if key == "recipe":
        raise Invalid(key, value, f"write the recipe as the first word: `ramp run {value or DEFAULT_RECIPE}`")
    if key not in keys and _members(key, keys):
        raise Invalid(key, value, f"this is a group; set one of {', '.join(_members(key, keys))}")
    return key, value


def _validated(settings: Settings, values: Mapping[str, Any], keys: Keys) -> Settings:
    settings = _with(settings, {tuple(key.split(".")): _typed(key, value, keys) for key, value in values.items()})
    for key in keys:
        check_range(key, _get(settings, key))
    check_rules(settings)
    return settings


def _typed(key: str, value: Any, keys: Keys) -> Any:
    """`value` as the setting's type. Text is read as a person wrote it: `3e-4`, `true`, `a,b` or `[a, b]`."""
    if key not in keys:
        raise _unknown(key, keys)
    hint = keys[key].type
    try:
        return _adapter(hint).validate_python(_prepared(value, hint), strict=hint is str or None)
    except (ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise Invalid(key, repr(value), f"needs {_type_name(hint)}: {reason[:1].lower()}{reason[1:]}") from error


def _prepared(value: Any, hint: Any) -> Any:
    """Text split into a list where a tuple is wanted; what pydantic would accept too kindly is refused."""
    items = value if isinstance(value, list | tuple) else [value]
    if hint is not bool and any(isinstance(item, bool) for item in items):
        raise ValueError("true and false are not accepted here")
    if any(isinstance(item, float) and not math.isfinite(item) for item in items):
        raise ValueError("the number must be finite")
    if get_origin(hint) is tuple and isinstance(value, str):
        text = value.strip().removeprefix("[").removesuffix("]")
        return [item.strip().strip("'\"") for item in text.split(",") if item.strip()]
    return value.strip() if isinstance(value, str) else value


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config={"allow_inf_nan": False})


# ----------------------------------------------------------------------------------------------- trees


def _get(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = getattr(tree, name)
    return tree


def _with(tree: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    """A copy with the settings at these paths replaced, each group at once: it may check its fields together."""
    groups: dict[str, dict[tuple[str, ...], Any]] = {}
    for (name, *rest), value in values.items():
        groups.setdefault(name, {})[tuple(rest)] = value
    return replace(
        tree,
        **{name: below[()] if () in below else _with(getattr(tree, name), below) for name, below in groups.items()},
    )


def plain(value: Any) -> Any:
    """A tree of settings as dicts, lists and numbers."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    """As an override would be written."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)
