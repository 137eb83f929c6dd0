"""Is a run's cluster fit? Each part asked as its clients ask it, each finding with what repairs it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.checks import Finding, try_command
from services.cli.kubernetes_checks import kubernetes

if TYPE_CHECKING:
    from services.clients.credentials import Credentials
    from services.clients.replay import ReplayClient
    from services.common.directory import Shard
    from services.common.settings import Settings
    from services.conductor.rundir import RunDir

ANSWER_S = 5.0
SKEW_S = 2.0  # between this clock and a shard's
DAYS_LEFT = 14.0  # of a certificate or a token
FREE_SHARE = 0.1  # of what a shard holds, and that much again, for its next segments
FREE_BYTES = 2**30
DAY_S = 86_400.0
RAY = """
import json, logging, ray
ray.init(address={address!r}, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
print(json.dumps(ray.cluster_resources()))
"""


def cluster(found: RunDir, settings: Settings) -> Iterator[Finding]:
    """Every part of the run's surroundings."""
    yield redis(settings)
    yield from replay(found, settings)
    yield from tokens(settings)
    yield ray(settings)
    yield from registry(found)
    yield from metrics(found)
    yield from kubernetes()


def redis(settings: Settings) -> Finding:
    """The notice board answers."""
    from services.common.coordination import Coordination, without_password

    url = settings.redis.url
    if not url:
        return Finding(name="Redis", ok=True, detail="the run starts its own (redis.url is empty)", needed=False)
    ok = Coordination(url, "doctor").ping()
    detail = f"{without_password(url)} {'answers' if ok else 'does not answer'}"
    return Finding(
        name="Redis", ok=ok, detail=detail, remedy="start it, or mend redis.url, its password or its network"
    )


# ---------------------------------------------------------------------------------------------- replay


def replay(found: RunDir, settings: Settings) -> Iterator[Finding]:
    """Both doors of every shard."""
    from services.clients.credentials import own_credentials
    from services.common.directory import parse
    from services.common.tokens import Role

    words = settings.replay.address or found.replay_address()
    if not words:
        remedy = "start the run, or name its servers in replay.address"
        yield Finding(name="replay", ok=False, detail="no server is known", remedy=remedy)
        return
    shown = own_credentials(settings, Role.OPERATOR)
    for shard in parse(words).values():
        yield from _shard(shard, shown)


def _shard(shard: Shard, shown: Credentials) -> Iterator[Finding]:
    from ramp.errors import RampError
    from services.clients.replay import ReplayClient

    try:
        with ReplayClient(shard.address, name="doctor", credentials=shown) as client:
            yield from _asked(shard, client)
            yield door(f"{shard.name} gRPC", shard.address, shown)
            yield _bulk(shard, client, shown)
    except RampError as error:
        remedy = "look at its log; is it started, is its address right, do token and CA fit (docs/security.md)?"
        yield Finding(name=shard.name, ok=False, detail=str(error), remedy=remedy)


def _asked(shard: Shard, client: ReplayClient) -> Iterator[Finding]:
    from services.common.code import code

    asked = time.time()
    info = client.info(timeout=ANSWER_S)
    took = time.time() - asked
    words = f"{sum(table.episodes for table in info.tables)} episodes, answers in {1000 * took:.0f} ms"
    broken = f"; {info.quarantined_segments} damaged places" if info.quarantined_segments else ""
    remedy = f"look for 'quarantine' in the log of {shard.name}; `ramp restore --shard` brings back what a backup has"
    yield Finding(name=shard.name, ok=not broken, detail=words + broken, remedy=remedy, needed=False)
    skew = info.now - (asked + took / 2)
    detail = f"{skew:+.1f} s from this clock"
    remedy = "let NTP or chrony set both clocks"
    yield Finding(name=f"{shard.name} clock", ok=abs(skew) <= SKEW_S + took, detail=detail, remedy=remedy, needed=False)
    yield room(f"{shard.name} disk", info.disk_bytes, info.disk_free_bytes)
    theirs, ours = client.code(timeout=ANSWER_S), code()
    remedy = "upgrade the older one; a mixture is for the minutes of a rolling upgrade"
    yield Finding(name=f"{shard.name} code", ok=theirs == ours, detail=theirs, remedy=remedy, needed=False)


def room(name: str, held: int, free: int) -> Finding:
    """Whether a shard can go on growing for a while."""
    needed = max(FREE_BYTES, int(FREE_SHARE * held))
    detail = f"{free / 2**30:.1f} GiB free, {held / 2**30:.1f} GiB held"
    remedy = "enlarge the volume, set a rule (retention.), or add a shard: a full disk refuses appends"
    return Finding(name=name, ok=free >= needed, detail=detail, remedy=remedy)


def door(name: str, address: str, shown: Credentials) -> Finding:
    """A door listens, and its certificate is trusted and lasts."""
    from services.clients.handshake import shown_until

    until = shown_until(address, shown)
    if until is None:
        return Finding(name=name, ok=True, detail=f"{address} listens, without TLS")
    days = (until - time.time()) / DAY_S
    remedy = "renew it now: gRPC shows the new files at once, Flight after a restart of the server"
    return Finding(name=name, ok=days >= DAYS_LEFT, detail=f"certificate for {days:.0f} days", remedy=remedy)


def _bulk(shard: Shard, client: ReplayClient, shown: Credentials) -> Finding:
    port = client.bulk(timeout=ANSWER_S).flight_port
    if not port:
        return Finding(name=f"{shard.name} Flight", ok=True, detail="there is no second door", needed=False)
    return door(f"{shard.name} Flight", f"{shard.address.rpartition(':')[0]}:{port}", shown)


def tokens(settings: Settings) -> Iterator[Finding]:
    """Those that expire soon, where the server's file is here."""
    from services.common.keyring import tokens_file
    from services.common.tokens import read_tokens

    path = tokens_file(settings)
    if not path.exists():
        return
    known = read_tokens(path)
    newest = {token.name: token for token in sorted(known, key=lambda token: token.made)}.values()
    soon = time.time() + DAYS_LEFT * DAY_S
    ending = [token.name for token in newest if token.expires and token.expires.timestamp() < soon]
    detail = f"{len(known)} of {len(newest)} names" + (
        f"; soon or already expired: {', '.join(ending)}" if ending else ""
    )
    remedy = f"ramp token rotate {ending[0] if ending else 'NAME'} --file {path}"
    yield Finding(name="tokens", ok=not ending, detail=detail, remedy=remedy, needed=False)


# ------------------------------------------------------------------------------------------- the others


def ray(settings: Settings) -> Finding:
    """The Ray cluster has what the settings ask for."""
    import json

    address = settings.ray.address
    if not address:
        return Finding(name="Ray", ok=True, detail="the run starts its own (ray.address is empty)", needed=False)
    ok, words = try_command([sys.executable, "-c", RAY.format(address=address)])
    if not ok:
        remedy = "start the head, or mend ray.address; both sides need the same Ray and Python"
        return Finding(name="Ray", ok=False, detail=words, remedy=remedy)
    return resources(json.loads(words), settings)


def resources(there: dict[str, float], settings: Settings) -> Finding:
    """Logical CPUs for the learner group and its controller; GPUs are used where there is one for each worker."""
    cpus, gpus, workers = there.get("CPU", 0.0), there.get("GPU", 0.0), settings.learner.workers
    detail = f"{cpus:g} CPUs, {gpus:g} GPUs for {workers} learner workers and {settings.actors.count} actors"
    remedy = "add nodes to the worker groups, or lower learner.workers"
    return Finding(name="Ray", ok=cpus >= workers + 1 and (not gpus or gpus >= workers), detail=detail, remedy=remedy)


def registry(found: RunDir) -> Iterator[Finding]:
    """Can be written to, and its newest versions can be read."""
    from ramp.errors import RampError
    from ramp.types import Kind
    from services.clients.registry import DirectoryRegistry

    yield writable("registry", found.registry)
    versions = DirectoryRegistry(found.registry)
    for kind in Kind:
        numbers = versions.versions(kind)
        if not numbers:
            continue
        try:
            versions.load(kind, numbers[-1])
            yield Finding(name=f"{kind} versions", ok=True, detail=f"{len(numbers)}, the newest is whole")
        except RampError as error:
            remedy = "point its aliases at an older version, or `ramp restore` the run from a backup"
            yield Finding(name=f"{kind} versions", ok=False, detail=str(error), remedy=remedy)


def writable(name: str, folder: Path) -> Finding:
    """Tried for real."""
    probe = folder / f".doctor-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("a test")
        probe.unlink()
    except OSError as error:
        remedy = "free some space, or mend the mount and its owner; all machines of a run share it"
        return Finding(name=name, ok=False, detail=str(error), remedy=remedy)
    return Finding(name=name, ok=True, detail=f"{folder} can be written, {_free(folder):.0f} GiB free")


def _free(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 2**30


def metrics(found: RunDir) -> Iterator[Finding]:
    """Every endpoint that the run has told Prometheus of."""
    import json

    if not found.targets.exists():
        yield Finding(name="metrics", ok=True, detail="no targets here: Prometheus finds the pods itself", needed=False)
        return
    targets = [each for group in json.loads(found.targets.read_text()) for each in group["targets"]]
    silent = [each for each in targets if not scraped(each)]
    detail = f"{len(targets) - len(silent)} of {len(targets)} answer" + (f"; not {', '.join(silent)}" if silent else "")
    remedy = "is the run running (`ramp status`)? does a firewall stand between?"
    yield Finding(name="metrics", ok=not silent, detail=detail, remedy=remedy, needed=False)


def scraped(target: str) -> bool:
    """Whether an endpoint answers with our metrics."""
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=ANSWER_S) as answer:
            return b"ramp_" in answer.read()
    except OSError:
        return False
