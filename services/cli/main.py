"""`ramp`: one verb per file. Errors are one line with the remedy; `ramp --debug VERB` shows the traceback as well."""

from __future__ import annotations

import sys
from typing import Annotated

import click
import typer

from ramp.errors import Invalid, NotFound, RampError
from services.cli import doctor, evaluate, report, run, status

WRONG_INPUT, FAILED, INTERRUPTED = 2, 1, 130

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
      ramp run debug         the same machinery in about two minutes
      ramp run --resume      go on where the latest run was stopped or killed
      ramp status            what the latest run does now
      ramp eval              success of its final policy on held-out starts
      ramp report            write its report.html again
    """


app.command("run")(run.run)
app.command("status")(status.status)
app.command("eval")(evaluate.evaluate)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)


def main(arguments: list[str] | None = None) -> None:
    """The entry of the `ramp` command."""
    words = sys.argv[1:] if arguments is None else arguments
    sys.exit(_exit_code(words))


def _exit_code(words: list[str]) -> int:
    try:
        return int(app(args=words, standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except RampError as error:
        if "--debug" in words:
            raise
        print(f"ramp: {error}", file=sys.stderr)
        return WRONG_INPUT if isinstance(error, Invalid | NotFound) else FAILED


if __name__ == "__main__":
    main()
