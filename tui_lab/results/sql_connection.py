"""The database that a query runs in: in memory, without files, network, extensions or settings to change."""

from __future__ import annotations

import re
from collections.abc import Collection
from glob import escape
from pathlib import Path
from typing import Final

import duckdb

from tui_lab.results.sql_errors import QueryError
from tui_lab.results.statistics_intervals import t_quantile
from tui_lab.spec import until

MEMORY: Final = "50%"
_MEMORY: Final = re.compile(r"\d+(\.\d+)?\s*([kmgt]i?b|%)", re.IGNORECASE)
_TABULATED: Final = 100
"""Degrees of freedom up to which `ci95` looks its quantile up."""


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


SUMMARIES: Final = frozenset(until.SUMMARIES)
"""Functions that `add_summaries` defines."""
_VALUE: Final = "CAST(x AS DOUBLE)"
_FINITE: Final = f"FILTER (WHERE isfinite({_VALUE}))"


def add_summaries(connection: duckdb.DuckDBPyConnection, names: Collection[str] = SUMMARIES) -> None:
    """Define, of `n(x)`, `sd(x)`, `se(x)` and `ci95(x)`, those in `names`. All leave out nulls, NaN and infinities;
    `n()` counts rows. Where there are too few values they are null."""
    sd, n = f"stddev_samp({_VALUE}) {_FINITE}", f"count({_VALUE}) {_FINITE}"
    macros = {
        "n": f"n() AS count(*), (x) AS {n}",
        "sd": f"sd(x) AS {sd}",
        "se": f"se(x) AS {sd} / sqrt({n})",
    }
    for name, definition in macros.items():
        if name in names:
            connection.execute(f"CREATE OR REPLACE MACRO {definition}")
    if "ci95" in names:
        connection.execute(f"CREATE OR REPLACE MACRO ci95(x) AS {_ci95(sd, n)}")


def _ci95(sd: str, n: str) -> str:
    """Half the width of the 95 % confidence interval of the mean, by Student's t; below two values null.

    Above _TABULATED degrees of freedom the quantile is Fisher's expansion in 1 / df (Abramowitz and Stegun,
    1964, 26.7.5), which there is exact to 10 digits.
    """
    df = f"({n} - 1)"
    known = ", ".join(repr(t_quantile(0.975, number)) for number in range(1, _TABULATED + 1))
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    expansion = " + ".join([repr(z), *(f"{term!r} / {df} ** {power}" for power, term in enumerate(terms, 1))])
    quantile = f"CASE WHEN {df} <= {_TABULATED} THEN list_extract([{known}], {df}) ELSE {expansion} END"
    return f"CASE WHEN {df} > 0 THEN ({quantile}) * {sd} / sqrt({n}) END"
