"""Rows with ratios, targets and what limits them, from what was measured and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.peers.lines import Answer
from services.conductor.record import Row

Found = Mapping[str, Sequence[Answer]]
"""Answers of every turn, by what was asked of whom: `append, ours, grpc`, `limit: disk` ..."""

UNITS = {
    "frames": ("frames/s a core", 1.0),
    "steps": ("steps/s", 1.0),
    "updates": ("updates/s", 1.0),
    "bytes": ("GB/s", 1e9),
}
LIMITS = {"append": ("limit: Flight put", "limit: disk"), "sample": ("limit: Flight get",)}
MAPPED = "sample, ours, mapped"  # a learner on the server's host that maps its segments
SIDES = ("server", "client")
NEAR = 0.9  # share of a limit from which on the limit is what limits
BUSY = 0.8  # processors from which on a Python process is what limits
NO_STALL_S = 0.05  # a gap of less counts as none: an idle server's answer may take as long
PRIORITIES = 200_000  # updates/s
ELSEWHERE = {
    "append": ("LeRobot's path from actor to buffer", 191.0, 8.0),
    "sample": ("RLinf's buffer beyond its cache", 46.0, 50.0),
}
"""Who, the best steps/s that was seen of them elsewhere, and how often that we want to reach."""
NOT_THIS_RUN = "measured elsewhere on another day, not in this run: an order of magnitude"


class Target(NamedTuple):
    """What a figure should be."""

    bound: float
    most: bool = False
    unit: str = ""

    def judge(self, value: float) -> Row:
        reached = value <= self.bound if self.most else value >= self.bound
        words = f"{'at most' if self.most else 'at least'} {self.bound:g} {self.unit}"
        return {"target": words.strip(), "reached": "yes" if reached else "no"}


def rows(found: Found, why_no_reverb: str) -> list[Row]:
    """Ratios first, then what they were made of. Without Reverb, its row says why."""
    reverb = "append, Reverb" in found
    missing: Row = {"name": "Reverb 0.14", "reached": f"not measured: {why_no_reverb}"}
    busy = {"name": "processors busy with other work before the run", "value": found["busy"][0]["percent"], "unit": "%"}
    return [
        *(_against_reverb(found) if reverb else [missing]),
        *_against_limits(found),
        *_elsewhere(found),
        *_kept(found),
        *(_speed(name, answers) for name, answers in found.items() if "seconds" in answers[0]),
        *(_latency(name, answers[0]) for name, answers in found.items() if "latencies" in answers[0]),
        busy,
    ]


# -------------------------------------------------------------------------------------------------------- ratios


def _against_reverb(found: Found) -> Iterator[Row]:
    for done, target in (("append", Target(2)), ("sample", Target(1.3))):
        ours, theirs = best(found, f"{done}, ours"), best(found, f"{done}, Reverb")
        row = _ratio(f"{ours} / {theirs}", found[ours], rates(found[theirs], "steps"), "steps", target)
        yield row | _limited_by(found, ours)
    jpeg, raw = best(found, "JPEG, ours"), best(found, "sample, Reverb")
    row = _ratio(f"{jpeg} / {raw}", found[jpeg], rates(found[raw], "steps"), "steps", Target(4))
    yield row | {"pixels": "as many for both; ours come as pictures, and decoding them is measured apart"}
    updates = rates(found["priorities, Reverb"], "updates")
    yield _ratio("priorities, ours / Reverb", found["priorities, ours"], updates, "updates", None)
    for what in ("sample", "append"):
        mine, other = (_latencies(found, f"checkpoint, {what}, {name}") for name in ("ours", "Reverb"))
        row = {"name": f"longest {what} beside a checkpoint, ours / Reverb", "value": max(mine), "baseline": max(other)}
        judged = Target(NO_STALL_S, most=True, unit="s").judge(max(mine))
        idle = max(_latencies(found, f"idle, {what}, ours"))
        yield row | {"unit": "s", "ratio": _short(max(mine) / max(other)), **judged, "idle_longest_s": idle}


def _against_limits(found: Found) -> Iterator[Row]:
    for done, limits in LIMITS.items():
        ours = best(found, f"{done}, ours")
        slower = [min(each) for each in zip(*(rates(found[limit], "bytes") for limit in limits), strict=True)]
        row = _ratio(f"{ours} / {' or '.join(limits)}", found[ours], slower, "bytes", Target(0.7))
        yield row | _limited_by(found, ours)
    if MAPPED in found:
        loopback = best(found, "sample, ours")
        yield _ratio(f"{MAPPED} / {loopback}", found[MAPPED], rates(found[loopback], "bytes"), "bytes", Target(2))
    all_turns = [PRIORITIES] * len(found["priorities, ours"])
    yield _ratio("priorities, ours / wanted", found["priorities, ours"], all_turns, "updates", Target(1))


def _elsewhere(found: Found) -> Iterator[Row]:
    for done, (who, speed, times) in ELSEWHERE.items():
        ours = best(found, f"{done}, ours")
        theirs = [speed] * len(found[ours])
        yield _ratio(f"{ours} / {who}", found[ours], theirs, "steps", Target(times)) | {"beside": NOT_THIS_RUN}


def _kept(found: Found) -> Iterator[Row]:
    """The tail of latency beside snapshots."""
    for what in ("sample", "append"):
        beside, idle = (_latencies(found, f"{when}, {what}, ours") for when in ("checkpoint", "idle"))
        row = {"name": f"p99 of one {what}, ours beside snapshots / ours idle", "value": _ms(p99(beside))}
        ratio = _short(p99(beside) / p99(idle))
        target = Target(2, most=True).judge(ratio) if what == "sample" else {}
        yield row | {"baseline": _ms(p99(idle)), "unit": "ms", "ratio": ratio, **target}


def _ratio(name: str, ours: Sequence[Answer], theirs: Sequence[float], what: str, target: Target | None) -> Row:
    """Medians of both sides, and of the ratio within each turn."""
    (unit, scale), mine = UNITS[what], rates(ours, what)
    ratio = _short(median(one / other for one, other in zip(mine, theirs, strict=True)))
    row = {"name": name, "value": _short(median(mine) / scale), "baseline": _short(median(theirs) / scale)}
    return row | {"unit": unit, "ratio": ratio, **(target.judge(ratio) if target else {})}


def _limited_by(found: Found, ours: str) -> Row:
    """The machine's limit where we come near it, else the busier process, else neither: then somebody waits."""
    speed = median(rates(found[ours], "bytes"))
    for limit in LIMITS[ours.split(",")[0]]:
        if speed >= NEAR * median(rates(found[limit], "bytes")):
            return {"limited_by": limit}
    cores = {side: median(rates(found[ours], f"{side}_cpu_s")) for side in SIDES}
    busier = max(SIDES, key=lambda side: cores[side])
    words = ", ".join(f"{side} {cores[side]:.2f}" for side in SIDES)
    who = f"processor time of the {busier}" if cores[busier] >= BUSY else "waiting, for the other side or the disk"
    return {"limited_by": f"{who} (processors busy: {words})"}


# ------------------------------------------------------------------------------------------------------- figures


def rates(answers: Sequence[Answer], what: str) -> list[float]:
    """Of every turn, a second."""
    return [answer[what] / answer["seconds"] for answer in answers]


def best(found: Found, prefix: str) -> str:
    """The fastest of those whose name begins so and that cross the loopback, as all that they are held against do."""
    names = [name for name in found if name.startswith(prefix) and name != MAPPED]
    return max(names, key=lambda name: median(rates(found[name], "steps")))


def p99(seconds: Sequence[float]) -> float:
    return float(np.quantile(seconds, 0.99))


def _speed(name: str, answers: Sequence[Answer]) -> Row:
    what = next(each for each in UNITS if each in answers[0])
    (unit, scale), found = UNITS[what], rates(answers, what)
    row = {"name": name, "value": _short(median(found) / scale), "unit": unit}
    row |= {"low": _short(min(found) / scale), "high": _short(max(found) / scale), "turns": len(answers)}
    if what == "steps":
        row["GB_per_s"] = _short(median(rates(answers, "bytes")) / 1e9)
    for side in SIDES if "server_cpu_s" in answers[0] and what != "frames" else ():
        row[f"{side}_cpu_us_each"] = _short(median(1e6 * answer[f"{side}_cpu_s"] / answer[what] for answer in answers))
    return row


def _latency(name: str, answer: Answer) -> Row:
    """Of single calls, in milliseconds; beside a checkpoint, how long that took too."""
    seconds = answer["latencies"]
    row = {"name": f"{name}: one call", "value": _ms(median(seconds)), "unit": "ms", "p99_ms": _ms(p99(seconds))}
    row |= {"longest_ms": _ms(max(seconds)), "calls": len(seconds)}
    if "checkpoint_s" in answer:
        row |= {
            "checkpoint_s": _short(answer["checkpoint_s"]),
            "checkpoint_GB": _short(answer["checkpoint_bytes"] / 1e9),
        }
    return row


def _latencies(found: Found, name: str) -> list[float]:
    return list(found[name][0]["latencies"])


def _ms(seconds: float) -> float:
    return _short(1e3 * seconds)


def _short(value: float) -> float:
    """Four significant digits: more would only be noise."""
    return float(f"{value:.4g}")
