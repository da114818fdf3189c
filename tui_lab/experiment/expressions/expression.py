"""The one expression language of the tool: a scalar DuckDB expression over the columns of a frame.

It says which combinations to keep (`where`), makes parameters of others (`derive`) and metrics of others,
and picks tasks (`reason = 'oom' and lr > 0.1`). Names with dashes, dots or reserved words stand in double
quotes, texts in single quotes. An expression has one result per row, and the same one every time.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl

from tui_lab.experiment.duckdb_tables import register, unregister
from tui_lab.experiment.expressions.bounded import bounded
from tui_lab.experiment.expressions.syntax import (
    CASE_WHEN,
    MACRO,
    Catalog,
    ExpressionError,
    parse,
    place,
    references,
    syntax_error,
)

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

__all__ = ["ExpressionError", "check", "condition", "evaluate"]

SECONDS: Final = 60.0
"""That an expression may take for a block of rows."""
LONGEST: Final = 1_000_000
"""Characters, or items of a list, that a function may make of nothing."""
_VIEW: Final = "rows of an expression"
_BARE: Final = "SELECT {}\n"
_WRAPPED: Final = "SELECT ({}\n)"
_LOCK: Final = threading.RLock()  # one connection, one statement at a time

_SMALL_INTEGERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_BIG_INTEGERS: Final = ("UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM")
_NESTED: Final = re.compile(r"(STRUCT|MAP|TUPLE|ROW|UNION|VARIANT)\b|.*\]$", re.DOTALL)


def evaluate(expression: str, frame: pl.DataFrame) -> pl.Series:
    """The value of `expression` in each row of `frame`, as Int64, Float64, Boolean or String.

    Decimals become floats; integers beyond 64 bits floats, or text where floats
    don't hold them; dates and times become text, lists
    and structures JSON. Raises ExpressionError.
    """
    names = _names(expression, frame.columns)
    with _LOCK:
        return _evaluate(expression, frame, names)


def condition(expression: str, frame: pl.DataFrame) -> pl.Series:
    """Whether `expression` is true in each row of `frame`; null counts as false. Raises ExpressionError."""
    names = _names(expression, frame.columns)
    with _LOCK:
        kind = _result_type(expression, frame, names)
        if kind not in ("BOOLEAN", '"NULL"', "NULL"):
            raise ExpressionError(f"a condition must be true or false, but this is {_spoken(kind)}", 0)
        return _evaluate(expression, frame, names).cast(pl.Boolean).fill_null(False)


def check(
    expression: str, columns: Iterable[str] | Mapping[str, pl.DataType], boolean: bool = False
) -> tuple[str, ...]:
    """The names among `columns` that `expression` uses, in the order of their first use.

    Raises ExpressionError for whatever is wrong without looking at a row: with a schema (names and types)
    types are checked as well, and with `boolean` that the expression is a condition.
    """
    names = _names(expression, columns)
    if isinstance(columns, Mapping):
        empty = pl.DataFrame(schema=dict(columns))
        (condition if boolean else evaluate)(expression, empty)
    return names


# --- Running


def _names(expression: str, columns: Iterable[str]) -> tuple[str, ...]:
    """Checks the form of an expression; returns the columns that it uses."""
    columns = tuple(columns)
    return references(expression, parsed(expression, columns), columns, catalog())


def parsed(expression: str, columns: tuple[str, ...]) -> Any:
    """DuckDB's tree of a text that is one expression; `columns` serve its hints. Raises ExpressionError."""
    if "\0" in expression:
        raise ExpressionError("an expression can't contain a NUL character", expression.index("\0"))
    with _LOCK:
        # As it is, where brackets must match by themselves, and in brackets, where only an expression fits.
        bare, wrapped = (
            parse(_text("SELECT json_serialize_sql(?)", form.format(expression))) for form in (_BARE, _WRAPPED)
        )
        found = [
            syntax_error(expression, tree, form.index("{"), columns, catalog())
            for form, tree in ((_BARE, bare), (_WRAPPED, wrapped))
            if tree["error"]
        ]
    if found:
        raise min(found, key=lambda error: len(expression) if error.offset is None else error.offset)
    statements = bare["statements"]
    if len(statements) != 1 or len(statements[0]["node"].get("select_list", ())) != 1:
        raise ExpressionError("only a single expression is possible here", 0)
    return statements[0]["node"]["select_list"][0]


def _evaluate(expression: str, frame: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    kind = _result_type(expression, frame, names)
    if kind in _BIG_INTEGERS:
        texts = _column(expression, frame, names, "CAST(result AS VARCHAR)")
        exact = texts.cast(pl.Int64, strict=False)
        if exact.null_count() == texts.null_count():
            return exact
        floats = all(int(float(text)) == int(text) for text in texts.drop_nulls())
        return texts.cast(pl.Float64) if floats else texts
    if kind in _SMALL_INTEGERS:
        return _column(expression, frame, names, "CAST(result AS BIGINT)")
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return _column(expression, frame, names, "CAST(result AS DOUBLE)")
    if kind == "BOOLEAN":
        return _column(expression, frame, names, "result")
    if _NESTED.match(kind):
        return _column(expression, frame, names, "CAST(to_json(result) AS VARCHAR)")
    return _column(expression, frame, names, "CAST(result AS VARCHAR)")


def _column(expression: str, frame: pl.DataFrame, names: tuple[str, ...], cast: str) -> pl.Series:
    source = _source(frame, names)
    query = f"SELECT {cast} AS result FROM (SELECT ({expression}\n) AS result FROM {source})"
    try:
        answer = _bounded(lambda connection: connection.sql(query).materialize())
    except _duckdb_error() as error:
        raise translated(expression, error, query.index(f"({expression}\n)") + 1) from None
    finally:
        unregister(_connection(), _VIEW)
    series = pl.DataFrame(answer).to_series()
    if series.len() != frame.height:
        raise ExpressionError("an expression must have one result per row", 0)
    return series.cast(pl.String) if series.dtype == pl.Null else series


def _result_type(expression: str, frame: pl.DataFrame, names: tuple[str, ...]) -> str:
    """DuckDB's name of the type that the expression has."""
    prefix = "DESCRIBE SELECT ("
    query = f"{prefix}{expression}\n) FROM {_source(frame, names)}"
    try:
        return str(_bounded(lambda connection: connection.execute(query).fetchall())[0][1])
    except _duckdb_error() as error:
        raise translated(expression, error, len(prefix)) from None
    finally:
        unregister(_connection(), _VIEW)


def _bounded(ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
    """What `ask` returns; it may be interrupted, and has SECONDS. Raises ExpressionError, and what `ask` raises."""
    connection = _connection()
    try:
        return bounded(lambda: ask(connection), connection.interrupt, SECONDS)
    except (KeyboardInterrupt, TimeoutError) as error:
        _connection.cache_clear()  # what can't be interrupted goes on with the old one
        if isinstance(error, KeyboardInterrupt):
            raise
        hint = "make it simpler, or its values shorter"
        raise ExpressionError(f"this takes longer than {SECONDS:g} s", 0, hint) from None


def _source(frame: pl.DataFrame, names: tuple[str, ...]) -> str:
    """Registers the columns that an expression uses; returns what to select from."""
    if not names:
        return f"range({frame.height})"
    columns = [frame[name] for name in names]
    used = pl.DataFrame([c.cast(pl.String) if c.dtype == pl.Null else c for c in columns])
    register(_connection(), _VIEW, used)
    return f'"{_VIEW}"'


def _text(query: str, argument: str) -> str:
    return str(_connection().execute(query, [argument]).fetchall()[0][0])


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """An empty database in memory that sees no file, no extension and no variable of this program."""
    import duckdb

    connection = duckdb.connect(":memory:")
    for setting, value in {
        "threads": str(min(4, os.cpu_count() or 1)),
        "errors_as_json": "true",
        "temp_directory": "''",
        "memory_limit": "'50%'",
        "TimeZone": "'UTC'",
        "python_enable_replacements": "false",
        "python_scan_all_frames": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }.items():
        connection.execute(f"SET {setting} = {value}")
    for macro in _LIMITED:
        connection.execute(f"CREATE MACRO {macro}")
    return connection


def _at_most(count: str, function: str) -> str:
    """The number that an expression has, unless it is too large."""
    message = f"{function}() makes more than {LONGEST:,} at once here"
    return f"CASE WHEN {count} > {LONGEST} THEN error('{message}') ELSE 0 END"


# DuckDB itself would take all memory for them.
_LIMITED: Final = (
    # What is repeated may be long itself. As a text, for blobs have no len().
    f"repeat(s, n) AS system.main.repeat(s, n + {_at_most('n::HUGEINT * greatest(1, len(s::VARCHAR))', 'repeat')})",
    *(
        f"{name}(s, n, c) AS system.main.{name}(s, (n + {_at_most('n', name)})::INTEGER, c)"
        for name in ("lpad", "rpad")
    ),
    *(
        f"{name}(a) AS system.main.{name}(a + {_at_most('a', name)}), "
        f"(a, b) AS system.main.{name}(a, b + {_at_most('b - a', name)}), "
        f"(a, b, c) AS system.main.{name}(a, b + {_at_most('(b - a) / nullif(c, 0)', name)}, c)"
        for name in ("range", "generate_series")
    ),
)


def catalog() -> Catalog:
    """The functions and reserved words of this DuckDB."""
    with _LOCK:
        return _catalog()


@cache
def _catalog() -> Catalog:
    kinds: dict[str, set[str]] = {}
    query = "SELECT DISTINCT function_type, lower(function_name) FROM duckdb_functions()"
    for kind, name in _connection().execute(query).fetchall():
        kinds.setdefault(kind, set()).add(name)
    scalars = kinds["scalar"] | kinds["macro"]
    aggregates = kinds["aggregate"] - scalars
    others = set().union(*kinds.values()) - scalars - aggregates
    query = "SELECT lower(keyword_name) FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
    reserved = {str(row[0]) for row in _connection().execute(query).fetchall()}
    return Catalog(frozenset(scalars), frozenset(aggregates), frozenset(others), frozenset(reserved))


def _duckdb_error() -> type[Exception]:
    import duckdb

    return duckdb.Error


def translated(expression: str, error: Exception, prefix: int) -> ExpressionError:
    """One plain line of an error of DuckDB while it binds or runs an expression, before which `prefix` bytes stand in
    the statement."""
    raw = str(error)
    try:
        details = json.loads(raw[raw.index("{") :])
    except ValueError:
        details = {"exception_message": raw}
    message = str(details.get("exception_message", raw)).split("\n", 1)[0].strip()
    if macro := MACRO.match(message):
        where = place(expression, details.get("position"), prefix)
        return ExpressionError(f"{macro[1]}() takes no FILTER, DISTINCT or OVER", where, CASE_WHEN.format(macro[1]))
    message = re.split(r"\. You might need|\. Use TRY| - an explicit cast", message)[0].rstrip("!.")
    message = message.replace("STRING_LITERAL", "text").replace("INTEGER_LITERAL", "integer")
    return ExpressionError(message, place(expression, details.get("position"), prefix))


def _spoken(kind: str) -> str:
    if kind in _SMALL_INTEGERS or kind in _BIG_INTEGERS:
        return "an integer"
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return "a number"
    return "a text" if kind == "VARCHAR" else f"of type {kind}"
