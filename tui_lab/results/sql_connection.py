"""The database that a query runs in: in memory, without files, network, extensions or settings to change."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Final

import duckdb

from tui_lab.results.sql_errors import QueryError
from tui_lab.results.statistics_exact import Moments, moments
from tui_lab.results.statistics_intervals import t_interval, wilson
from tui_lab.results.statistics_resolution import resolution
from tui_lab.spec import until

MEMORY: Final = "50%"
_MEMORY: Final = re.compile(r"\d+(\.\d+)?\s*([kmgt]i?b|%)", re.IGNORECASE)


def connect(folder: Path, memory: str = MEMORY) -> duckdb.DuckDBPyConnection:
    """A connection that may read files of `folder`, and may take so much memory (`4GB`, `50%` of the
    machine's). Raises QueryError for another text."""
    if not _MEMORY.fullmatch(memory):
        raise QueryError(f"{memory} is no amount of memory", hint="for example: 4GB or 50%")
    connection = duckdb.connect(":memory:")
    names = {str(folder.resolve()), str(folder.absolute())}
    names |= {escape(name) for name in names}  # paths are given to DuckDB as globs
    allowed = ", ".join(f"'{name}/'" for name in (name.replace("'", "''") for name in sorted(names)))
    for setting in (
        f"memory_limit = '{memory}'",
        "enable_progress_bar = false",
        "python_enable_replacements = false",
        "python_scan_all_frames = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "temp_directory = ''",
        "TimeZone = 'UTC'",
        "errors_as_json = true",
        f"allowed_directories = [{allowed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def close(connection: duckdb.DuckDBPyConnection) -> None:
    """Close a connection. One in which a query goes on that can't be interrupted is left to the end of the process."""
    with suppress(duckdb.Error):
        connection.close()


SUMMARIES: Final = frozenset(until.SUMMARIES)
"""Functions that `add_summaries` defines."""
_VALUE: Final = "CAST(x AS DOUBLE)"
_FINITE: Final = f"FILTER (WHERE isfinite({_VALUE}))"
_LEVEL: Final = 0.95


def add_summaries(
    connection: duckdb.DuckDBPyConnection, names: Collection[str] = SUMMARIES, flat: float | None = None
) -> None:
    """Define, of `n(x)`, `sd(x)`, `se(x)` and `ci95(x)`, those in `names`. All leave out nulls, NaN and infinities;
    `n()` counts rows. Where there are too few values they are null.

    They are computed as `stats` computes them, which DuckDB's own are not where leading digits agree or squares
    overflow. An interval is never narrower than the printed digits of its values allow. `flat` is the `ci95` of values
    that are all equal: such values tell nothing of their spread.
    """

    def sd(values: list[float]) -> float | None:
        return moments(values).sd if values else None

    def se(values: list[float]) -> float | None:
        return moments(values).se if values else None

    def ci95(values: list[float]) -> float | None:
        found = moments(values) if len(values or ()) > 1 else None
        if found is None or found.sd is None:
            return None
        if set(values) <= {0.0, 1.0}:
            low, high = wilson(round(math.fsum(values)), found.n, _LEVEL)
            return (high - low) / 2
        spread = resolution([values]).spread(values, found.sd)
        interval = t_interval(Moments(found.n, found.mean, spread), _LEVEL)
        return flat if found.sd == 0 or interval is None else (interval[1] - interval[0]) / 2

    n = f"count({_VALUE}) {_FINITE}"
    if "n" in names:
        connection.execute(f"CREATE OR REPLACE MACRO n() AS count(*), (x) AS {n}")
    for name, function in {"sd": sd, "se": se, "ci95": ci95}.items():
        if name in names:
            of_list = f"tui_lab_{name}"
            with suppress(duckdb.NotImplementedException):  # an earlier query of this connection has made it
                connection.create_function(of_list, function, ["DOUBLE[]"], "DOUBLE", null_handling="special")  # type: ignore[call-overload]
            connection.execute(f"CREATE OR REPLACE MACRO {name}(x) AS {of_list}(list({_VALUE}) {_FINITE})")
