"""`ramp`: one verb per file. Errors are one line with the remedy; `ramp --debug VERB` shows the traceback as well."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from ramp.errors import Invalid, NotFound, RampError
from services.cli import (
    backup,
    bench,
    data,
    datasets,
    doctor,
    evaluate,
    keep,
    release,
    report,
    retract,
    run,
    status,
    token,
    up,
)

Words = ParamSpec("Words")
WRONG_INPUT, FAILED = 2, 1

app = typer.Typer(
    name="ramp",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def ramp(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Teach a simulated robot arm with RAMP: demonstrations, world model, policy, and both together while they act.

    \b
      ramp doctor            is this machine fit?
      ramp run               the main job: Meta-World from pixels, at most 20 minutes on two cores
      ramp run debug         the same machinery in a minute or two
      ramp run --resume      go on where the latest run was stopped or killed
      ramp up                the same in the background, with Prometheus and Grafana; ramp down stops it
      ramp status            what the latest run does now
      ramp eval              success of its final policy on held-out starts
      ramp report            write its report.html again
      ramp data query SQL    ask its episodes
      ramp data show ID      one of them as a Rerun recording
      ramp data delete ID    forget one for good
      ramp data retract ID   the same, and which versions may have learnt from it
      ramp data snapshot N   keep all of them as they are now
      ramp data views        answers that were made tables (query --as-view)
      ramp token new         let a robot, a learner or a person in; ramp token list, rotate, revoke
      ramp release promote V let robots act by a version; ramp release list, rollback, history
      ramp backup URL        a run's data to a folder or a bucket; ramp restore brings it back
      ramp bench             the comparisons of the papers: methods, conditioning, iterations, value
      ramp data export       its episodes as a LeRobot dataset; ramp data import brings one in
    """


def verb(body: Callable[Words, int]) -> Callable[Words, None]:
    """A verb returns its exit code; Typer wants it raised."""

    @functools.wraps(body)
    def command(*args: Words.args, **kwargs: Words.kwargs) -> None:
        raise typer.Exit(body(*args, **kwargs))

    return command


app.command("run")(verb(run.run))
app.command("up")(verb(up.up))
app.command("down")(verb(up.down))
app.command("status")(verb(status.status))
app.command("eval")(verb(evaluate.evaluate))
app.command("report")(verb(report.report))
app.command("doctor")(verb(doctor.doctor))
app.command("backup")(verb(backup.backup))
app.command("restore")(verb(backup.restore))
benches = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The comparisons of the papers.")
benches.command("methods")(verb(bench.methods))
benches.command("conditioning")(verb(bench.conditioning))
benches.command("iterations")(verb(bench.iterations))
benches.command("value")(verb(bench.value))
app.add_typer(benches, name="bench")
stored = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What a run has stored, and LeRobot datasets.")
stored.command("query")(verb(data.query))
stored.command("show")(verb(data.show))
stored.command("delete")(verb(keep.delete))
stored.command("retract")(verb(retract.retract))
stored.command("snapshot")(verb(keep.snapshot))
stored.command("snapshots")(verb(keep.snapshots))
stored.command("views")(verb(keep.views))
stored.command("export")(verb(datasets.export))
stored.command("check")(verb(datasets.check))
stored.command("import")(verb(datasets.import_))
app.add_typer(stored, name="data")
tokens = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may come in to a replay server.")
tokens.command("new")(verb(token.new))
tokens.command("list")(verb(token.list_))
tokens.command("rotate")(verb(token.rotate))
tokens.command("revoke")(verb(token.revoke))
app.add_typer(tokens, name="token")

releases = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Which version robots act by.")
releases.command("list")(verb(release.list_))
releases.command("promote")(verb(release.promote))
releases.command("rollback")(verb(release.rollback))
releases.command("history")(verb(release.history))
app.add_typer(releases, name="release")


def main(arguments: list[str] | None = None) -> None:
    """The entry of the `ramp` command; ends the process. Typer itself answers a wrong option, with exit code 2."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=words)
    except RampError as error:
        if "--debug" in words:
            raise
        print(f"ramp: {error}", file=sys.stderr)
        sys.exit(WRONG_INPUT if isinstance(error, Invalid | NotFound) else FAILED)


if __name__ == "__main__":
    main()
