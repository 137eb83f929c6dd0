"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Dir = Annotated[Path | None, typer.Option("--dir", "-d", help="Directory of the run.", show_default="the latest run")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
