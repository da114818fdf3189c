"""The values of a chart's columns, as they go on its axes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import polars as pl

from tui_lab.experiment.expressions import expression
from tui_lab.results.charts.model import Axis, ChartError, NothingToDraw, Request, Role, Source
from tui_lab.results.charts.natural import is_number
from tui_lab.results.plain import plain_column, shown
from tui_lab.results.sql.text import replace, tokens
from tui_lab.results.statistics.text import chosen
from tui_lab.store.naming import free

LETTERS: Final[dict[Role, str]] = {"x": "X", "y": "Y", "z": "Z", "hue": "H", "style": "S"}


@dataclass
class Prepared:
    """The values of all roles, changed as asked, in `rows`: a column for each role, under its name."""

    request: Request
    source: Source
    columns: dict[Role, str]
    rows: pl.DataFrame
    left_out: Counter[str] = field(default_factory=Counter)

    def label(self, role: Role) -> str:
        """Return the label of an axis: the one asked for, else the name of its column."""
        return self.request.labels.get(role, self.columns.get(role, ""))

    @property
    def log(self) -> frozenset[Literal["x", "y"]]:
        """The logarithmic axes."""
        return self.request.log or frozenset()

    def notes(self) -> tuple[str, ...]:
        """How many rows were left out, and why."""
        return tuple(
            f"{count:,} {'row' if count == 1 else 'rows'} left out: {why}" for why, count in self.left_out.items()
        )

    def drop(self, keep: pl.Series, why: str) -> None:
        """Leave out the rows that are not to be kept."""
        count = len(keep) - int(keep.sum())
        if count:
            self.left_out[why] += count
            self.rows = self.rows.filter(keep)

    def number(self, role: Role, log: bool = False) -> Axis:
        """Turn a role's column into finite floats: numbers, times or durations. Raises ChartError where it holds
        none."""
        series, name = self.rows[role], self.columns[role]
        kind = _kind(series.dtype)
        if kind is None and series.dtype not in (pl.Boolean, pl.Null):
            raise ChartError(f"{name} holds no numbers; {_other_words(series)}")
        if log and kind in ("time", "clock"):
            raise ChartError(f"{name} holds times, so its axis can't be logarithmic")
        self.rows = self.rows.with_columns(_seconds(series).alias(role))
        self._finite(role, name, log)
        whole = role == "x" and series.dtype.is_integer()
        return Axis(self.label(role), kind or "number", log=log, range=self.range(role, log), whole=whole)

    def range(self, role: Role, log: bool) -> tuple[float, float] | None:
        """Return the requested range of an axis of numbers. Raises ChartError."""
        asked = self.request.ranges.get(role)
        if asked is None:
            return None
        if not asked[0] < asked[1]:
            raise ChartError(f"--{role}-range: MIN must be below MAX")
        if log and asked[0] <= 0:
            raise ChartError(f"--{role}-range: a logarithmic axis begins above 0")
        return asked

    def _finite(self, role: Role, name: str, log: bool) -> None:
        self.drop(self.rows[role].is_not_null(), f"{name} is null")
        self.drop(self.rows[role].is_not_nan(), f"{name} is NaN")
        self.drop(self.rows[role].is_finite(), f"{name} is infinite")
        if log:
            self.drop(self.rows[role] > 0, f"{name} is not above 0, and its axis is logarithmic")

    def place(self, role: Role, log: bool = False) -> Axis:
        """Turn a role's column into places on an axis: numbers, times, or else categories. Raises
        ChartError."""
        series = self.rows[role]
        if _kind(series.dtype) is not None:
            return self.number(role, log)
        if log:
            raise ChartError(f"{self.columns[role]} holds no numbers, so its axis can't be logarithmic")
        return self.category(role)

    def category(self, role: Role) -> Axis:
        """Turn a role's column into the indices of its values."""
        if role in self.request.ranges:
            raise ChartError(f"--{role}-range: there are categories along {role}, which have no range")
        series = self.rows[role]
        names, codes = coded(series)
        self.rows = self.rows.with_columns(codes.alias(role))
        return Axis(self.label(role), "category", tuple(names), numbers=series.dtype.is_numeric())

    def require(self) -> None:
        """Raises NothingToDraw where no row is left."""
        if not self.rows.height:
            reasons = "; ".join(self.notes()) or "there are no rows"
            raise NothingToDraw(f"nothing to draw: {reasons}")


def _kind(dtype: pl.DataType) -> Literal["number", "time", "clock", "duration"] | None:
    """Return the kind of axis for such values; None where they have no distances."""
    if dtype in (pl.Date, pl.Datetime):
        return "time"
    if dtype == pl.Duration:
        return "duration"
    return "clock" if dtype == pl.Time else "number" if dtype.is_numeric() else None


def _seconds(series: pl.Series) -> pl.Series:
    """Numbers as floats, and times and durations in seconds."""
    if series.dtype in (pl.Date, pl.Datetime):
        return series.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    if series.dtype == pl.Time:
        return series.cast(pl.Int64) / 1e9
    return (series if series.dtype == pl.Null else plain_column(series)).cast(pl.Float64)


def _other_words(series: pl.Series) -> str:
    first = next((repr(value) for value in plain_column(series.drop_nulls().head(1))), "null")
    return f"its first value is {first}"


def coded(series: pl.Series) -> tuple[list[str], pl.Series]:
    """The distinct values as text, and the index of each row's value as Float64."""
    distinct = series.unique(maintain_order=True)
    if series.dtype != pl.String and not series.dtype.is_nested():
        distinct = distinct.sort(nulls_last=True)
    codes = pl.DataFrame({"value": distinct}).with_row_index("code")
    joined = pl.DataFrame({"value": series}).join(
        codes, on="value", how="left", nulls_equal=True, maintain_order="left"
    )
    return _names(plain_column(distinct)), joined["code"].cast(pl.Float64)


def _names(values: pl.Series) -> list[str]:
    """Different values as different names of categories."""
    if values.dtype.is_float():
        names = iter(chosen(values.drop_nulls().to_list()))
        return ["null" if value is None else next(names) for value in values]
    return ["null" if value is None else shown(value) for value in values]


def prepare(request: Request, source: Source, columns: dict[Role, str]) -> Prepared:
    """Return the rows of a chart. Raises ChartError, also for a mistake in one of the changes."""
    series = {role: source.frame[name] for role, name in columns.items()}
    for role, code in request.changes.items():
        if role not in columns:
            raise ChartError(f"--{role}-change: there is no {role} column")
        series[role] = _changed(role, code, source.frame, columns)
    rows = pl.DataFrame([values.alias(role) for role, values in series.items()])
    shared = [source.shared[name].alias(f"of {role}") for role, name in columns.items() if name in source.shared]
    if shared:  # what agrees in all that is drawn, and was measured once, is drawn once
        first = pl.concat([rows, pl.DataFrame(shared)], how="horizontal").select(
            pl.struct(pl.all()).is_first_distinct()
        )
        rows = rows.filter(first.to_series())
    return Prepared(request, source, columns, rows)


def _changed(role: Role, code: str, frame: pl.DataFrame, columns: dict[Role, str]) -> pl.Series:
    letters = {LETTERS[r]: frame[name] for r, name in columns.items()}
    taken = {letter.lower() for letter in letters}
    others = [frame[name] for name in frame.columns if name.lower() not in taken]
    table = pl.DataFrame([*(values.alias(letter) for letter, values in letters.items()), *others])
    whole = _Whole(role, code, letters, {name.lower() for name in table.columns})
    rewritten = replace(code, list(_python_words(code, whole)))
    table = table.with_columns(pl.lit(value, dtype).alias(name) for name, value, dtype in whole.columns)
    try:
        return expression.evaluate(rewritten.text, table)
    except expression.ExpressionError as error:
        place = "" if error.offset is None else f"\n  {code}\n  {' ' * rewritten.origin(error.offset)}^"
        hint = f"; {error.hint}" if error.hint else ""
        raise ChartError(f"--{role}-change: {error.message}{hint}{place}") from None


@dataclass
class _Whole:
    """The parts of an expression that are of all rows together: `Z[0]`, `max(Z)`. Each becomes a column with one
    value."""

    role: Role
    code: str
    letters: dict[str, pl.Series]
    taken: set[str]
    columns: list[tuple[str, Any, pl.DataType]] = field(default_factory=list)

    def at(self, letter: str, index: int, offset: int) -> str:
        """A column of the value in one row; negative indices count from the end. Raises ChartError."""
        values = self._values(letter, offset)
        if not -len(values) <= index < len(values):
            raise self.error(f"{letter}[{index}]: there are {len(values):,} rows, the first is 0", offset)
        return self._column(values[index], values.dtype)

    def count(self, letter: str, offset: int) -> int:
        """The number of rows. Raises ChartError."""
        return len(self._values(letter, offset))

    def of_all(self, function: str, letter: str, offset: int) -> str:
        """A column of the least, the largest, or the sum. Raises ChartError."""
        values = self._values(letter, offset)
        if function == "sum" and not is_number(values):
            raise self.error(f"sum({letter}): {letter} holds no numbers", offset)
        dtype = values.dtype if function != "sum" or values.dtype.is_float() else pl.Int64()
        return self._column(getattr(values, function)(), dtype)

    def error(self, message: str, offset: int) -> ChartError:
        return ChartError(f"--{self.role}-change: {message}\n  {self.code}\n  {' ' * offset}^")

    def _values(self, letter: str, offset: int) -> pl.Series:
        if letter not in self.letters:
            raise self.error(f"{letter} is no column of this chart", offset)
        return self.letters[letter]

    def _column(self, value: Any, dtype: pl.DataType) -> str:
        name = free("of all rows", self.taken)
        self.columns.append((name, value, dtype))
        return f'"{name}"'


def _python_words(code: str, whole: _Whole) -> Iterator[tuple[int, int, str]]:
    """Return SQL for an expression of patas: `X[i]` is X, `X[0]` and `max(X)` are of all rows, `int(...)`,
    `float(...)`, `str(...)`, `math.log2(...)`. Raises ChartError for another index of a row."""
    found, casts = list(tokens(code)), list[int]()
    words = [token.text if token.kind in ("name", "other") else "" for token in found]
    for at, word in enumerate(words):
        following, offset = words[at + 1 : at + 5], found[at].start
        if word in LETTERS.values() and following[:1] == ["["]:
            index = re.fullmatch(r"\[(-?[0-9]+)\].*", "".join(following))
            if following[:3] == ["[", "i", "]"]:
                yield found[at + 1].start, found[at + 3].end, ""
            elif index is not None and ":" not in following:
                end = words.index("]", at)
                yield offset, found[end].end, whole.at(word, int(index[1]), offset)
            elif following[:2] in (["[", "i"], ["[", "len"]):
                raise whole.error(f"only {word}[i], {word}[0] and the like are possible", offset)
        elif word in ("max", "min", "sum") and following[:3:2] == ["(", ")"] and following[1] in LETTERS.values():
            yield offset, found[at + 3].end, whole.of_all(word, following[1], offset)
        elif word == "len" and following[:3:2] == ["(", ")"] and following[1] in LETTERS.values():
            yield offset, found[at + 3].end, str(whole.count(following[1], offset))
        elif word == "float" and following[:1] == ["("] and (last := _closing(words, at + 1)) is not None:
            casts.append(last)
            yield offset, found[at + 1].end, "CAST("
        elif word == ")" and at in casts:
            yield offset, found[at].end, " AS DOUBLE)"
        elif word in ("int", "str") and following[:1] == ["("]:
            yield offset, found[at].end, {"int": "trunc", "str": "concat"}[word]
        elif word == "math" and following[:1] == ["."]:
            name = {"log": "ln"}.get(following[1], following[1]) if len(following) > 1 else ""
            yield offset, found[min(at + 2, len(found) - 1)].end, name


def _closing(words: Sequence[str], opening: int) -> int | None:
    """Where the bracket that opens at an index is closed; None where it is not."""
    depth = 0
    for at in range(opening, len(words)):
        depth += {"(": 1, ")": -1}.get(words[at], 0)
        if not depth:
            return at
    return None
