"""The database that a query runs in: in memory, without files, network, extensions or settings to change."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from glob import escape
from pathlib import Path
from typing import Final

import duckdb

from tui_lab.experiment.expressions import until
from tui_lab.results.numeric.exact import moments
from tui_lab.results.numeric.whole_numbers import differences
from tui_lab.results.sql.errors import QueryError
from tui_lab.results.sql.text import Rewritten, Token, replace, tokens
from tui_lab.results.statistics.resolution import Resolution, resolution
from tui_lab.results.statistics.sample import Sample, describe

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
    """Close a connection. One with a query that can't be interrupted is left to the end of the process."""
    with suppress(duckdb.Error):
        connection.close()


SUMMARIES: Final = frozenset(until.SUMMARIES)
"""Functions that `add_summaries` defines."""
_VALUE: Final = "CAST(x AS DOUBLE)"
_FINITE: Final = f"isfinite({_VALUE})"
_IS_EXACT: Final = """(typeof(x) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'BIGNUM') OR typeof(x) LIKE 'DECIMAL%'
    OR (typeof(x) = 'VARCHAR' AND regexp_full_match(CAST(x AS VARCHAR), '[-+]?[0-9]{16,}')))"""
"""Numbers that floats may not hold; those beyond 128 bits are text."""
_LEVEL: Final = 0.95


def add_summaries(
    connection: duckdb.DuckDBPyConnection,
    names: Collection[str] = SUMMARIES,
    flat: float | None = None,
    known: Mapping[str, Resolution] | None = None,
) -> None:
    """Define, of `n(x)`, `sd(x)`, `se(x)` and `ci95(x)`, those in `names`. All leave out nulls, NaN and infinities;
    `n()` counts rows. Where there are too few values they are null.

    They are computed as `stats` computes them, which DuckDB's own are not where leading digits agree, squares overflow
    or floats don't hold whole numbers. `ci95(x)` takes the values of its group for all there are; `known` is what all
    settings of an experiment tell of a column, which `with_knowledge` writes into a query. `flat` is the `ci95` of
    values that are all equal, and no shares: such values tell nothing of their spread.
    """

    def sd(floats: list[float] | None, exact: list[str] | None) -> float | None:
        values, _ = _values(floats, exact)
        return moments(values).sd if values else None

    def se(floats: list[float] | None, exact: list[str] | None) -> float | None:
        values, _ = _values(floats, exact)
        return moments(values).se if values else None

    def ci95(
        floats: list[float] | None,
        exact: list[str] | None,
        step: float | None,
        binary: bool,
        deterministic: bool,
        usual: float,
        flat: float | None,
    ) -> float | None:
        values, offset = _values(floats, exact)
        if not values:
            return None
        equal = len(values) > 1 and min(values) == max(values)
        if step is None or (deterministic and not equal):  # the values of several settings, say
            of_all, alone = resolution([values], offset), True
        else:
            of_all, alone = Resolution(step, binary, deterministic, usual), False
        if flat is not None and equal and not (of_all.binary and (alone or not deterministic)):
            return flat
        return describe(Sample(tuple(values)), _LEVEL, known=of_all).half

    floats = f"list({_VALUE}) FILTER (WHERE {_FINITE} AND NOT {_IS_EXACT})"
    texts = f"list(CAST(x AS VARCHAR)) FILTER (WHERE x IS NOT NULL AND {_IS_EXACT})"
    of_values = f"(x) AS tui_lab_NAME({floats}, {texts}"
    if "n" in names:
        connection.execute(f"CREATE OR REPLACE MACRO n() AS count(*), (x) AS count({_VALUE}) FILTER (WHERE {_FINITE})")
    for name, function in {"sd": sd, "se": se}.items():
        if name in names:
            _define(connection, f"tui_lab_{name}", function, ["DOUBLE[]", "VARCHAR[]"])
            connection.execute(f"CREATE OR REPLACE MACRO {name}{of_values.replace('NAME', name)})")
    if "ci95" in names:
        types = ["DOUBLE[]", "VARCHAR[]", "DOUBLE", "BOOLEAN", "BOOLEAN", "DOUBLE", "DOUBLE"]
        _define(connection, "tui_lab_ci95", ci95, types)
        for name, one in [("ci95", None), *((_KNOWN.format(i), one) for i, one in enumerate((known or {}).values()))]:
            facts = (None,) * 4 if one is None else (one.step, one.binary, one.deterministic, one.sd)
            given = ", ".join("NULL" if fact is None else f"'{fact}'" for fact in (*facts, flat))
            connection.execute(f"CREATE OR REPLACE MACRO {name}{of_values.replace('NAME', 'ci95')}, {given})")


def _values(floats: list[float] | None, exact: list[str] | None) -> tuple[list[float], int]:
    """The values of a group, and what was subtracted from them."""
    if exact is None:
        return floats or [], 0
    found, offset = differences([*map(Decimal, exact), *map(Decimal, floats or [])])
    return [value for value in found if value is not None], offset


def _define(
    connection: duckdb.DuckDBPyConnection, name: str, function: Callable[..., float | None], types: list[str]
) -> None:
    with suppress(duckdb.NotImplementedException):  # an earlier query of this connection has made it
        connection.create_function(name, function, types, "DOUBLE", null_handling="special")  # type: ignore[call-overload]


_KNOWN: Final = "ci95_of_known_{}"


def summarised(sql: str) -> list[str]:
    """The columns of which a query asks the `ci95`, by their bare names; none where it has inner queries, which may
    give other values the same name."""
    words = [word.text.lower() for word in tokens(sql) if word.kind == "name"]
    if max(map(words.count, ("select", "from"))) > 1:
        return []
    return list(dict.fromkeys(column for _, column in _ci95_calls(sql)))


def with_knowledge(sql: str, known: Collection[str]) -> Rewritten:
    """Return a query in which the `ci95` of the columns in `known` uses what is known of them."""
    places = {name: place for place, name in enumerate(known)}
    found = [(word, places[column]) for word, column in _ci95_calls(sql) if column in places]
    return replace(sql, [(word.start, word.end, _KNOWN.format(place)) for word, place in found])


def without_knowledge(name: str) -> str:
    """Return the name of an answer's column as the query was typed."""
    return re.sub(rf"\b{_KNOWN.format('[0-9]+')}\b", "ci95", name)


def _ci95_calls(sql: str) -> Iterator[tuple[Token, str]]:
    """Each `ci95(column)` or `ci95(table.column)`: the name of the function, and the column in lower case."""
    words = list(tokens(sql))
    for place, word in enumerate(words):
        if (
            word.kind != "name"
            or word.text.lower() != "ci95"
            or [one.text for one in words[place + 1 : place + 2]] != ["("]
        ):
            continue
        inside = words[place + 2 : place + 6]
        if [one.text for one in inside[1:2]] == ["."]:
            inside = inside[2:]
        if len(inside) > 1 and inside[0].kind in ("name", "quoted") and inside[1].text == ")":
            yield word, inside[0].text.lower()
