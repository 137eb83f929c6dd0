"""report.html and report.json of a run, from its journal, the aliases of its registry and, for the frames, its replay
store on disk.

    write_report(run_dir)

Works on a run that was interrupted or is still running: what is missing is said on the page.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

from ramp.errors import NotFound
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.conductor import journal
from services.conductor.report.findings import Findings
from services.conductor.report.frames import film
from services.conductor.report.gather import gather
from services.conductor.report.page import page
from services.conductor.report.stored import stored

JOURNAL = "journal.jsonl"

__all__ = ["Findings", "write_report"]


def write_report(run_dir: Path) -> Path:
    """Write both files into `run_dir` and return the path of report.html. Raises NotFound where there is no journal."""
    events = journal.read(run_dir / JOURNAL)
    if not events:
        raise NotFound(f"{run_dir / JOURNAL} holds no events; a report is made from a run that has begun")
    look = cache(partial(film, stored(run_dir / "replay")))
    registry = DirectoryRegistry(run_dir / "registry")
    aliases = {(kind.value, name): number for kind in Kind for name, number in registry.aliases(kind).items()}
    findings = gather(events, str(run_dir), lambda episode_id: look(episode_id) is not None, aliases)
    films = {trace.episode_id: look(trace.episode_id) for trace in findings.traces}
    _write(run_dir / "report.json", json.dumps(journal.plain(asdict(findings)), indent=1, allow_nan=False))
    _write(run_dir / "report.html", page(findings, films))
    return run_dir / "report.html"


def _write(path: Path, text: str) -> None:
    """All of it or nothing: somebody may have the old one open."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
