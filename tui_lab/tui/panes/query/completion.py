"""Completions at a place in a SQL text: tables, columns, functions, macros, keywords.

Nothing is parsed: the words around the place say which clause it is in, and which tables the text names.
Any text is fine, finished or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tui_lab.results.sql.macros import MACROS
from tui_lab.results.sql.text import Token, quoted, tokens
from tui_lab.tui.widgets.completion.candidates import MOST, Candidate, Completion, matching

# --- Words of SQL (DuckDB's) that are offered while a query is typed
KEYWORDS: Final = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "GROUP BY ALL", "ORDER BY", "HAVING", "LIMIT", "OFFSET", "QUALIFY"),
    *("JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN", "SEMI JOIN", "ANTI JOIN", "ASOF JOIN", "ON", "USING"),
    *("AS", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL", "IS DISTINCT FROM"),
    *("DISTINCT", "ALL", "ASC", "DESC", "NULLS LAST", "NULLS FIRST", "CASE", "WHEN", "THEN", "ELSE", "END"),
    *("UNION ALL BY NAME", "UNION", "UNION ALL", "EXCEPT", "INTERSECT", "WITH", "EXCLUDE", "REPLACE"),
    *("FILTER (WHERE", "OVER (", "PARTITION BY", "CAST", "TRUE", "FALSE", "NULL", "INTERVAL"),
    *("PIVOT", "UNPIVOT", "SUMMARIZE", "DESCRIBE", "EXPLAIN", "USING SAMPLE", "VALUES", "EXISTS"),
)

FUNCTIONS: Final = {
    "mean": "average",
    "avg": "average",
    "ci95": "half of the mean's 95 % interval",
    "median": "middle value",
    "count": "how many",
    "sum": "sum",
    "min": "least",
    "max": "greatest",
    "stddev": "standard deviation (n - 1)",
    "var_samp": "variance (n - 1)",
    "quantile_cont": "quantile_cont(x, 0.9)",
    "arg_min": "arg_min(x, by): x where `by` is least",
    "arg_max": "arg_max(x, by): x where `by` is greatest",
    "corr": "correlation",
    "regr_slope": "slope of y over x",
    "mode": "most frequent value",
    "first": "first value",
    "last": "last value",
    "list": "all values",
    "string_agg": "texts joined",
    "histogram": "counts by value",
    "round": "round(x, digits)",
    "floor": "round down",
    "ceil": "round up",
    "abs": "magnitude",
    "sqrt": "square root",
    "exp": "e to the power of x",
    "ln": "natural logarithm",
    "log10": "decimal logarithm",
    "log2": "binary logarithm",
    "pow": "power",
    "greatest": "greatest of several",
    "least": "least of several",
    "coalesce": "first that is not null",
    "nullif": "null where two are equal",
    "isnan": "is it NaN",
    "isfinite": "neither NaN nor infinite",
    "try_cast": "try_cast(x AS DOUBLE), null where it fails",
    "length": "characters",
    "lower": "in small letters",
    "upper": "in capitals",
    "trim": "without blanks around",
    "replace": "text replaced",
    "split_part": "split_part(text, ',', 1)",
    "regexp_extract": "regexp_extract(text, '(\\d+)', 1)",
    "regexp_matches": "whether a pattern is found",
    "contains": "whether a text is found",
    "row_number": "number within OVER (...)",
    "rank": "rank within OVER (...)",
    "lag": "value of the row before",
    "lead": "value of the row after",
    "date_trunc": "date_trunc('hour', started_at)",
    "epoch": "seconds of a time or duration",
    "read_csv": "read_csv('FILE')",
    "read_parquet": "read_parquet('FILE')",
    "read_json": "read_json('FILE')",
}

_CLAUSES: Final = """
select from join where on by having qualify limit offset using values with set when then else case and or not in between
like ilike is as distinct union except intersect filter over pivot unpivot describe summarize
"""
CLAUSES: Final = frozenset(_CLAUSES.split())
"""Words after which something else may stand than before them."""


_TYPES: Final = {
    "DOUBLE": "float",
    "BIGINT": "int",
    "INTEGER": "int",
    "VARCHAR": "text",
    "BOOLEAN": "bool",
    "TIMESTAMP WITH TIME ZONE": "time",
    "TIMESTAMP": "time",
    "INTERVAL": "duration",
}


@dataclass(frozen=True)
class ColumnFacts:
    """A column and its type."""

    name: str
    type: str = ""
    kind: str = ""
    """parameter, metric, fact or value."""
    unit: str = ""

    @property
    def short_type(self) -> str:
        """The type as the list of completions shows it."""
        return _TYPES.get(self.type, self.type.lower())


@dataclass(frozen=True)
class Catalog:
    """The tables and columns of the lab, in its order; None for columns that are not read yet."""

    tables: Mapping[str, Sequence[ColumnFacts] | None] = field(default_factory=dict)

    def columns(self, table: str) -> Sequence[ColumnFacts]:
        """Return the columns of a table; empty where they are not known."""
        name = self.named(table)
        return (self.tables[name] or ()) if name is not None else ()

    def named(self, table: str) -> str | None:
        """Return the table of this name; case counts for nothing."""
        return next((name for name in self.tables if name.lower() == table.lower()), None)


def complete(sql: str, offset: int, catalog: Catalog) -> Completion:
    """Return the completions at an offset."""
    offset = min(max(offset, 0), len(sql))
    words = list(tokens(sql))
    opened = next((word for word in words if not word.closed and word.start < offset), None)
    if opened is not None and opened.kind == "quoted":
        start, end = opened.start, offset
        typed = sql[start + 1 : offset]
        before = words[:-1]
        words = [*before, *tokens(sql[offset:])]  # what follows is no part of the name that is being typed
    elif opened is not None or _in_string_or_comment(sql, words, offset):
        return Completion(offset, offset)
    else:
        start = end = offset
        while start > 0 and _in_word(sql[start - 1]):
            start -= 1
        typed = sql[start:offset]
        while end < len(sql) and _in_word(sql[end]):
            end += 1
        before = [word for word in words if word.end <= start]
    if typed[:1].isdigit():
        return Completion(offset, offset)
    found = _candidates(before, typed, _Scope.of(words, catalog), catalog)
    if opened is not None:
        found = (Candidate(_in_quotes(c.text), c.kind, c.detail) for c in found if c.kind in ("column", "table"))
    return Completion(start, end, tuple(matching(found, typed, ("column", "table")))[:MOST])


def tables_in(sql: str, catalog: Catalog) -> list[str]:
    """Return the tables of the catalog that a text selects from."""
    return _Scope.of(list(tokens(sql)), catalog).tables


# --- Where the place is


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _in_string_or_comment(sql: str, words: Sequence[Token], offset: int) -> bool:
    end = 0
    for word in words:
        if word.start < offset < word.end and word.kind in ("string", "quoted"):
            return True
        if word.end <= offset:
            end = word.end
    blank = re.sub(r"--[^\n]*\n|/\*.*?\*/", " ", sql[end:offset], flags=re.DOTALL)
    return "--" in blank or "/*" in blank


_OF_TABLES: Final = frozenset(("from", "join", "pivot", "unpivot", "describe", "summarize"))
_AFTER_TABLE: Final = (
    *("WHERE", "GROUP BY", "ORDER BY", "JOIN", "LEFT JOIN", "ON", "USING", "AS", "LIMIT", "HAVING"),
    *("SELECT", "UNION", "QUALIFY"),
)


def _clause(before: Sequence[Token]) -> str:
    """Return the word that begins the clause at a place."""
    depth = 0
    for word in reversed(before):
        if word.kind == "other" and word.text == ")":
            depth += 1
        elif word.kind == "other" and word.text == "(":
            depth = max(0, depth - 1)
        elif depth == 0 and word.kind == "name" and word.text.lower() in CLAUSES:
            return word.text.lower()
    return ""


@dataclass(frozen=True)
class _Scope:
    """The names in a text: tables of the catalog, their aliases, and names that it defines."""

    tables: list[str]
    aliases: dict[str, str]
    defined: list[str]

    @classmethod
    def of(cls, words: Sequence[Token], catalog: Catalog) -> _Scope:
        found: list[str] = []
        aliases: dict[str, str] = {}
        defined: list[str] = []
        for place, word in enumerate(words):
            previous = words[place - 1].text.lower() if place else ""
            if word.kind not in ("name", "quoted"):
                continue
            if previous == "as":
                defined.append(word.text)
            table = catalog.named(word.text)
            if table is None or not (previous in _OF_TABLES or (previous == "," and _listed(words, place))):
                if previous in ("with", ",") and _opens(words, place + 1):
                    defined.append(word.text)
                continue
            if table not in found:
                found.append(table)
            aliases[table.lower()] = table
            after = place + 1
            if after < len(words) and words[after].text.lower() == "as":
                after += 1
            if after < len(words) and words[after].kind in ("name", "quoted"):
                name = words[after].text.lower()
                if name not in CLAUSES and name.upper() not in KEYWORDS:
                    aliases[name] = table
        return cls(found, aliases, list(dict.fromkeys(defined)))


def _listed(words: Sequence[Token], place: int) -> bool:
    """Return whether a comma before the place continues a list of tables."""
    return _clause(words[:place]) in _OF_TABLES


def _opens(words: Sequence[Token], place: int) -> bool:
    return [word.text.lower() for word in words[place : place + 2]] == ["as", "("]


# --- What could stand there


def _candidates(before: Sequence[Token], typed: str, scope: _Scope, catalog: Catalog) -> Iterator[Candidate]:
    last = before[-1] if before else None
    if last is not None and last.text == "." and last.kind == "other":
        owner = before[-2].text.lower() if len(before) > 1 else ""
        yield from _columns(catalog.columns(scope.aliases.get(owner, owner)))
        return
    lower = typed.islower() and bool(typed)
    clause = _clause(before)
    if clause in _OF_TABLES:
        if last is not None and last.kind in ("name", "quoted") and last.text.lower() not in _OF_TABLES:
            yield from _keywords(_AFTER_TABLE, lower)
            return
        yield from (Candidate(quoted(name), "table") for name in [*catalog.tables, *_own(scope)])
        yield from (Candidate(f"{name}(", "macro", about) for name, about in _MACROS.items())
        yield from _keywords(("SELECT",), lower)
        return
    if not before:
        yield from _keywords(("SELECT", "FROM", "WITH", "SUMMARIZE", "DESCRIBE", "PIVOT", "EXPLAIN"), lower)
        yield from _keywords(KEYWORDS, lower)
        return
    names = scope.tables or [name for name in catalog.tables if name.lower() == "results"]
    yield from _columns(_distinct(column for name in names for column in catalog.columns(name)))
    yield from (Candidate(quoted(name), "column", "defined here") for name in _own(scope))
    yield from (Candidate(f"{name}(", "function", about) for name, about in FUNCTIONS.items())
    yield from _keywords(KEYWORDS, lower)
    yield from (Candidate(quoted(name), "table") for name in catalog.tables)


def _own(scope: _Scope) -> list[str]:
    known = {name.lower() for name in scope.aliases}
    return [name for name in scope.defined if name.lower() not in known]


def _columns(columns: Iterable[ColumnFacts]) -> Iterator[Candidate]:
    for column in columns:
        about = " ".join(filter(None, (column.kind, column.short_type, column.unit)))
        yield Candidate(quoted(column.name), "column", about)


def _distinct(columns: Iterable[ColumnFacts]) -> Iterable[ColumnFacts]:
    return {column.name.lower(): column for column in columns}.values()


def _keywords(words: Iterable[str], lower: bool) -> Iterator[Candidate]:
    return (Candidate(word.lower() if lower else word, "keyword") for word in words)


_MACROS: Final = {
    name: about
    for name, about in {
        "best": "settings, best mean first: best('METRIC')",
        "compare": "two experiments: compare('A', 'B')",
        "failures": "what failed, and why",
        "slowest": "tasks that took longest",
    }.items()
    if name in MACROS
}


def _in_quotes(text: str) -> str:
    return text if text.startswith('"') else f'"{text}"'
