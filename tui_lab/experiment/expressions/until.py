"""The condition of `repeat.until`: one SQL expression over summaries of metrics, true or false of each setting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tui_lab.experiment.column_type import column_type
from tui_lab.experiment.expressions.bounded import bounded
from tui_lab.experiment.expressions.expression import catalog, parsed, translated
from tui_lab.experiment.expressions.syntax import ExpressionError, Tree, Walk
from tui_lab.experiment.facts import measured
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.patterns.pattern import PatternError, compile_pattern
from tui_lab.experiment.yaml.problem import suggest

if TYPE_CHECKING:
    import duckdb

SECONDS: Final = 10.0
"""What a condition may take for all settings of an experiment."""
SUMMARIES: Final = {
    "n": "how many values",
    "sd": "their standard deviation",
    "se": "the standard error of their mean",
    "ci95": "half of the 95 % confidence interval of their mean",
}
"""What a condition may call besides DuckDB's own aggregates (`mean`, `median`, `max`, ...)."""


def check(condition: str, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """The metrics and facts that a condition summarises, in the order of their first use.

    Raises ExpressionError.
    """
    walk = _ConditionWalk(condition, (*metrics, *(fact for fact in measured() if fact not in metrics)), catalog())
    tree = parsed(condition, walk.columns)
    walk.visit(tree, None, frozenset())
    if not walk.summarised:
        raise ExpressionError("the condition aggregates no metric", 0, "for example: ci95(loss) < 0.01 * mean(loss)")
    for name in walk.used:
        if name in metrics and _holds_text(metrics[name]):
            hint = "find numbers with @float@ or @int@, or give it type: float"
            raise ExpressionError(f'the metric "{name}" holds text, not numbers', None, hint)
    _check_type(condition, tuple(walk.used))
    return tuple(walk.used)


_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_SPREAD: Final = r"(?:ci95|sd|se|stddev\w*|var_\w+|variance|mad|n|count)\s*\([^()]*\)"
_BELOW: Final = re.compile(rf"(?P<what>{_SPREAD})\s*(?P<sign><=?|=)\s*(?P<limit>{_NUMBER})", re.IGNORECASE)
_COUNT: Final = re.compile(
    rf"(?P<what>(?:n|count)\s*\([^()]*\))\s*(?P<sign>>=?|=)\s*(?P<limit>{_NUMBER})", re.IGNORECASE
)
_TURNED: Final = re.compile(rf"(?P<limit>{_NUMBER})\s*(?P<sign>[<>]=?|=)\s*(?P<what>[^<>=]+)", re.IGNORECASE)
_NOT_PLAIN: Final = re.compile(r"\b(or|not|between|case)\b", re.IGNORECASE)


def impossible(condition: str, most: int) -> str:
    """Why a condition can't become true within `most` repeats, whatever the values; empty where that isn't certain
    from its text."""
    if _NOT_PLAIN.search(condition):
        return ""
    for part in re.split(r"\band\b", condition, flags=re.IGNORECASE):
        plain = part.strip()
        if turned := _TURNED.fullmatch(plain):
            sign = turned["sign"].translate(str.maketrans("<>", "><"))
            plain = f"{turned['what'].strip()} {sign} {turned['limit']}"
        below, count = _BELOW.fullmatch(plain), _COUNT.fullmatch(plain)
        if below and (float(below["limit"]) < 0 or (float(below["limit"]) == 0 and below["sign"] == "<")):
            return f"{below['what']} is never below 0"
        if count and (float(count["limit"]) > most or (float(count["limit"]) == most and count["sign"] == ">")):
            return f"{count['what']} is at most {most}, the largest number of repeats"
    return ""


def _holds_text(metric: Metric) -> bool:
    try:
        search = metric.source.search
        pattern = None if search is None else compile_pattern(search)
    except PatternError:
        return False
    return column_type(metric, pattern) == "str"


class _ConditionWalk(Walk):
    """Columns stand inside summaries, and only there."""

    def __init__(self, text: str, columns: tuple[str, ...], catalog: Any) -> None:
        super().__init__(text, columns, catalog)
        self.inside = ""
        self.summarised = False

    def visit(self, node: Any, offset: int | None, local: frozenset[str]) -> None:
        before = self.inside
        super().visit(node, offset, local)
        self.inside = before

    def function(self, node: Tree, offset: int | None) -> None:
        name = str(node["function_name"]).lower()
        if name not in SUMMARIES and name not in self.catalog.aggregates and name != "count_star":
            if re.match("[a-z_]", name) and not self.catalog.knows(name):
                hint = suggest(name, (*SUMMARIES, "mean", "median"))
                raise ExpressionError(
                    f"there is no function {name}()",
                    offset,
                    hint or f"there are {', '.join(SUMMARIES)}, mean, median, ...",
                )
            super().function(node, offset)
            return
        if self.inside:
            raise ExpressionError(f"{name}() stands inside {self.inside}(), which aggregates already", offset)
        self.summarised = True
        self.inside = "count" if name == "count_star" else name

    def column(self, names: list[str], offset: int | None, local: frozenset[str]) -> None:
        super().column(names, offset, local)
        if not self.inside and names[0].lower() not in local:
            name = names[0]
            hint = f"write mean({name}), ci95({name}), max({name}), ..."
            raise ExpressionError(f'"{name}" has a value for each repeat, but the condition needs one', offset, hint)

    def unknown(self, name: str, offset: int | None) -> ExpressionError:
        error = super().unknown(name, offset)
        if error.message == f'unknown name "{name}"':
            hint = error.hint or f"there are {_listed(self.columns)}"
            return ExpressionError(f'there is no metric "{name}"', error.offset, hint)
        return error


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _check_type(condition: str, names: tuple[str, ...]) -> None:
    """Raises ExpressionError where DuckDB can't bind the condition, or it is neither true nor false."""
    import duckdb

    columns = ", ".join(['0 AS "no name"', *(f'NULL::DOUBLE AS "{name}"' for name in names)])
    prefix, rest = "SELECT (", f"{condition}\n) FROM (SELECT {columns})"
    connection = _connection()

    def kind_of_answer() -> str:
        connection.execute(prefix + rest).fetchall()
        return str(connection.execute(f"DESCRIBE {prefix}{rest}").fetchall()[0][1])

    try:
        kind = bounded(kind_of_answer, connection.interrupt, SECONDS)
    except (KeyboardInterrupt, TimeoutError) as error:
        _connection.cache_clear()  # what can't be interrupted goes on with the old one
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ExpressionError(f"this takes longer than {SECONDS:g} s", 0, "make it simpler") from None
    except duckdb.Error as error:
        raise translated(condition, error, len(prefix)) from None
    if kind not in ("BOOLEAN", '"NULL"', "NULL"):
        raise ExpressionError(
            f"a condition must be true or false, but this is of type {kind}",
            0,
            "write a comparison, as in: ci95(loss) < 0.1",
        )


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """A database where the summaries have their names and types; their values are the results' business."""
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.execute("SET errors_as_json = true")
    connection.execute("SET memory_limit = '50%'")
    connection.execute("SET temp_directory = ''")
    connection.execute("CREATE MACRO n() AS count(*), (x) AS count(x)")
    for name in ("sd", "se", "ci95"):
        connection.execute(f"CREATE MACRO {name}(x) AS stddev_samp(x)")
    return connection
