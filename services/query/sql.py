"""One SELECT over the episodes and steps of a replay directory, in a DuckDB that can reach nothing else.

    episodes    columns of ramp.replay.summary.SUMMARY and of ramp.replay.labelled.MEANS
    steps       columns of ramp.replay.step_stream.STEPS

No files, no network, no extensions, no other statement than SELECT; memory and time are bounded. Labels are derived
only where a query asks for a column of MEANS, through a function that DuckDB calls for the rows it wants.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import FunctionNullHandling, PythonUDFType

from ramp.errors import Invalid, Timeout
from ramp.replay.labelled import MEANS
from ramp.replay.step_stream import STEPS
from ramp.replay.summary import SUMMARY
from services.query.library import Library

MEMORY = "1GiB"
SANDBOX: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # no Python variable is a table
    "temp_directory": "",  # what does not fit into memory is refused
    "memory_limit": MEMORY,
    "errors_as_json": "true",  # they tell the position apart from the message
}
CHECK = "explain "  # binds a query and runs nothing; only here does DuckDB say where an unknown name stands
OPENING, CLOSING = "select * from episodes where (\n", "\n) order by number"
STARTS = ("select", "with", "from", "(")


def ask(library: Library, text: str, timeout_s: float) -> pa.Table:
    """The rows of a SELECT, or the episodes that a condition holds for.

    Raises Invalid (with the place of the mistake and the columns there are), Timeout.
    """
    if not text.strip():
        raise Invalid("query", "nothing", "give a condition on episodes, or a SELECT")
    with _database(library) as database:
        begin, query = _statement(database, text)
        shift = begin + len(CHECK)
        clock = threading.Timer(timeout_s, database.interrupt)
        clock.start()
        try:
            database.execute(CHECK + query)
            shift = begin
            found = database.sql(query).to_arrow_table()
            return found.rename_columns(_distinct(found.column_names))
        except duckdb.InterruptException as error:
            raise Timeout(f"the query took longer than {timeout_s:g} s; narrow it, or raise --timeout") from error
        except duckdb.OutOfMemoryException as error:
            raise Invalid("query", f"it needs more than {MEMORY} of memory", "ask for fewer rows or columns") from error
        except duckdb.Error as error:
            raise _mistake(error, text, shift) from error
        finally:
            clock.cancel()


def _statement(database: duckdb.DuckDBPyConnection, text: str) -> tuple[int, str]:
    """Where the text begins in the SELECT that it stands for, and that SELECT. Raises Invalid."""
    try:
        found = database.extract_statements(text)
    except duckdb.Error as error:
        if text.lower().lstrip().startswith(STARTS):
            raise _mistake(error, text, 0) from error
        return len(OPENING), OPENING + text + CLOSING
    kinds = [each.type.name for each in found]
    if kinds != ["SELECT"]:
        raise Invalid("query", f"{' and '.join(kinds)} statement", "give one SELECT, or a condition on episodes")
    return 0, text


@contextlib.contextmanager
def _database(library: Library) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory with the two views, locked."""
    database = duckdb.connect(":memory:", config=SANDBOX)
    try:
        database.register("summary", library.episodes)
        database.register("steps", library.steps)
        for column in MEANS:
            function = _mean(library, column.name)
            kind = "DOUBLE" if pa.types.is_floating(column.type) else "BIGINT"
            database.create_function(
                f"label_{column.name}",
                function,
                ["BIGINT"],
                kind,
                type=PythonUDFType.ARROW,
                null_handling=FunctionNullHandling.SPECIAL,
            )
        labels = ", ".join(f"label_{name}(number) as {name}" for name in MEANS.names)
        database.execute(f"create view episodes as select *, {labels} from summary")
        database.execute("set lock_configuration = true")
        yield database
    finally:
        for name in MEANS.names:
            with contextlib.suppress(duckdb.Error):
                database.remove_function(f"label_{name}")
        database.close()


def _mean(library: Library, column: str) -> Callable[[pa.Array], pa.Array]:
    """A function from the numbers of episodes to a column of MEANS."""

    def looked_up(numbers: pa.Array) -> pa.Array:
        rows = pc.index_in(numbers, library.episodes["number"])
        return pa.array(library.means[column].take(rows).to_numpy(), from_pandas=True)

    return looked_up


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that came before get a number: steps, steps_1."""
    found: list[str] = []
    for name in names:
        candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        found.append(next(each for each in candidates if each not in found))
    return found


def _mistake(error: duckdb.Error, text: str, begin: int) -> Invalid:
    """DuckDB's message, its place in what the person wrote, and what could have been meant."""
    said = _said(error)
    place = _place(text, int(said["position"]) - begin) if "position" in said else ""
    message = said["exception_message"].strip().partition("\n")[0].rstrip("!.")
    columns = f"episodes has {', '.join([*SUMMARY.names, *MEANS.names])}; steps has {', '.join(STEPS.names)}"
    return Invalid("query", message + place, columns)


def _said(error: duckdb.Error) -> dict[str, str]:
    """The parts of an error; some come without any."""
    _, _, data = str(error).partition(": ")
    try:
        parts = json.loads(data)
    except ValueError:
        parts = None
    return parts if isinstance(parts, dict) and "exception_message" in parts else {"exception_message": str(error)}


def _place(text: str, offset: int) -> str:
    """In words, with what stands there: " at line 2, character 7 (drawer)"."""
    before = text.encode()[: max(offset, 0)].decode(errors="ignore")
    rest = text[len(before) :].split()
    line, character = before.count("\n") + 1, len(before) - before.rfind("\n")
    where = f"line {line}, character {character}" if "\n" in text.strip() else f"character {character}"
    return f" at {where} ({rest[0][:40]})" if rest else " at its end"
