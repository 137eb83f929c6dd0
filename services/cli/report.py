"""`ramp report`: write the report of a run again."""

from __future__ import annotations

from services.cli.options import Dir, Json


def report(dir_: Dir = None, as_json: Json = False) -> int:
    """Write report.html and report.json from a run's journal; also while it runs.

    \b
    Examples:
      ramp report
      ramp report --dir runs/try --json | jq .together
    """
    from services.conductor import rundir
    from services.conductor.report import write_report

    found = rundir.find(dir_)
    written = write_report(found.path)
    print(written.with_suffix(".json").read_text() if as_json else written)
    return 0
