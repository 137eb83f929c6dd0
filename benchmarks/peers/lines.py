"""How the bench speaks with a contestant: one JSON object a line, each answered by one. Standard library only:
contestants run in environments of their own."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

Answer = dict[str, Any]


def serve(doings: Mapping[str, Callable[..., Answer]]) -> None:
    """Answer what is asked on stdin, {"do": NAME, ...}, until it ends; a failure is answered by {"error": ...}."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = doings[request.pop("do")](**request)
        except Exception as error:  # whatever it is, the bench decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def timed(work: Callable[[], Answer]) -> Answer:
    """The answer, with the seconds that it took."""
    began = time.perf_counter()
    answer = work()
    return {**answer, "seconds": time.perf_counter() - began}


def latencies(call: Callable[[], object], count: int) -> Answer:
    """Seconds of `count` calls, after one that may build a connection."""
    call()
    return {"latencies": [round(timed(lambda: _done(call))["seconds"], 6) for _ in range(count)]}


def _done(call: Callable[[], object]) -> Answer:
    call()
    return {}


class Probe:
    """Calls the server again and again from a thread, until it is stopped: what others do to it shows in the gaps."""

    def __init__(self, call: Callable[[], object]) -> None:
        """Returns after the first call, which may build a connection."""
        call()
        self._call, self._stopped, self._failure = call, threading.Event(), ""
        self._seconds: list[float] = []
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                began = time.perf_counter()
                self._call()
                self._seconds.append(time.perf_counter() - began)
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"

    def stop(self) -> Answer:
        """Seconds of every call; raises RuntimeError where one failed."""
        self._stopped.set()
        self._thread.join()
        if self._failure:
            raise RuntimeError(self._failure)
        return {"latencies": [round(each, 6) for each in self._seconds]}
