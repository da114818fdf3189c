"""From an experiment to its combinations: one row each, in the order in which they are planned.

The order of expansion: each mapping of `parameters` (the last key fastest, `defaults` for what it leaves
out, zipped groups together), their union with equal combinations once, `derive`, `where`, `sample`. Rows
are made by arithmetic on whole columns, in blocks, so a million of them takes a second and tens of megabytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from tui_lab.experiment.axes import Sweep, ValueTable, ZipError, sweep
from tui_lab.experiment.axes import frame as as_frame
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.values import as_float
from tui_lab.experiment.expressions import expression
from tui_lab.experiment.expressions.expression import ExpressionError
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.overrides import Plan, plan
from tui_lab.experiment.sampling import sample
from tui_lab.experiment.yaml.problem import Problem, SpecError

MAX_COMBINATIONS: Final = 100_000_000  # that are gone through one by one; `sample` has no such limit
_BLOCK: Final = 1 << 18


@dataclass(frozen=True)
class Combinations:
    """One row per combination, one column per parameter in order.

    A parameter in `values` is coded: its column (UInt32) holds places in that list of distinct typed JSON
    values. The others are plain columns: drawn ones Float64 or Int64, derived ones Int64, Float64, String or
    Boolean. `notices` are for the user. Without parameters there is one combination, a row without columns.
    """

    frame: pl.DataFrame
    values: dict[str, list[Value]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """The number of combinations."""
        return self.frame.height

    def typed(self) -> pl.DataFrame:
        """The combinations with each parameter as a column of its real type."""
        columns = [typed(self.values[c.name], c).alias(c.name) if c.name in self.values else c for c in self.frame]
        return as_frame(columns, self.height)

    def row(self, i: int) -> dict[str, Value]:
        """Each parameter of combination `i` (from 0) with its exact JSON value."""
        row = self.frame.row(i, named=True) if self.frame.width else {}
        return {n: self.values[n][v] if n in self.values and v is not None else v for n, v in row.items()}


def typed(values: Sequence[Value], codes: pl.Series) -> pl.Series:
    """The values that `codes` stand for, as a column of real type: see `column`. A null code is null."""
    return column(values).gather(codes).alias(codes.name)


_INTEGERS: Final[tuple[tuple[pl.DataType, int, int], ...]] = (
    (pl.Int64(), -(1 << 63), (1 << 63) - 1),
    (pl.UInt64(), 0, (1 << 64) - 1),
    (pl.Int128(), 1 - 10**38, 10**38 - 1),  # what a DECIMAL of DuckDB, Parquet and Arrow holds, too
)


def column(values: Sequence[Value]) -> pl.Series:
    """The values as integers (Int64, else UInt64, else Int128), Float64, Boolean or String; null stays.

    Integers that none of these holds exactly, values of several types, lists and mappings become text: JSON, in which a
    text stands without quotes unless one of these values would then look like another.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {str}:
        return pl.Series(values, dtype=pl.String)
    if kinds == {bool}:
        return pl.Series(values, dtype=pl.Boolean)
    if kinds == {int}:
        known = [value for value in values if isinstance(value, int)]
        for dtype, least, most in _INTEGERS:
            if min(known) >= least and max(known) <= most:
                return pl.Series(values, dtype=dtype)
    elif kinds <= {int, float} and all(map(_is_float, values)):
        return pl.Series([None if value is None else float(value) for value in values], dtype=pl.Float64)  # type: ignore[arg-type]
    texts = [_json(value) for value in values]
    plain = [value if isinstance(value, str) else text for value, text in zip(values, texts, strict=True)]
    distinct = len(set(plain)) == len(set(texts))
    return pl.Series(plain if distinct else texts, dtype=pl.String)


def _is_float(value: Value) -> bool:
    """Whether a float holds a number exactly."""
    return type(value) is not int or isinstance(as_float(value), float)


def _json(value: Value) -> str | None:
    """As programs get it: a float that is no number, or infinite, is nan, inf or -inf; inside lists as in JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def expand(experiment: Experiment, overrides: Mapping[str, Sequence[Value]] | None = None) -> Combinations:
    """The combinations of an experiment; `overrides` are values from the command line (see `overrides.plan`).

    Raises SpecError: expressions that can't be used (at their place in the file), unequal zipped groups,
    a drawn parameter without `sample`, a grid too large to go through, and a plan of no combinations.
    """
    sweeping = plan(experiment, overrides or {})
    table = ValueTable()
    sweeps = _sweeps(experiment, sweeping, table)
    rules = _Rules(experiment, table)
    empty = _empty(experiment, sweeps)
    if all(s.size == 0 for s in sweeps):
        raise SpecError(empty)
    notices = [str(problem) for problem in empty]
    if experiment.sample is None:
        frame = _all(experiment, sweeping, sweeps, rules)
    else:
        n, seed, strict = experiment.sample.n, experiment.sample.seed, experiment.where is not None
        frame, notice = sample(sweeps, n, seed, sweeping.names, table, rules, strict)
        if not frame.height:
            keypath = ("where",) if strict else ("sample",)
            raise SpecError([experiment.problem(keypath, f"no combination is left: {notice}")])
        notices += [notice] if notice else []
    types = frame.schema  # made anew each time that it is asked for
    values = {name: table.values[name] for name in sweeping.names if types[name] == pl.UInt32}
    if experiment.sample is not None:
        frame, values = _compact(frame, values)
    return Combinations(frame, values, tuple(notices))


def _compact(frame: pl.DataFrame, values: Mapping[str, list[Value]]) -> tuple[pl.DataFrame, dict[str, list[Value]]]:
    """The same combinations with those values only that occur: a sample uses few of a long range."""
    kept = {}
    for name, listed in values.items():
        used, codes = np.unique(frame[name].to_numpy(), return_inverse=True)
        frame = frame.with_columns(pl.Series(name, codes, dtype=pl.UInt32))
        kept[name] = [listed[code] for code in used]
    return frame, kept


# --- Parameters, defaults, zip


def _sweeps(experiment: Experiment, sweeping: Plan, table: ValueTable) -> list[Sweep]:
    sweeps, problems = [], []
    for mapping in sweeping.mappings:
        try:
            sweeps.append(sweep(mapping, sweeping.defaults, sweeping.groups, sweeping.names, table))
        except ZipError as error:
            problems.append(experiment.problem(("zip", error.group), str(error)))
        except ValueError as error:
            problems.append(experiment.problem(("parameters",), str(error)))
    if problems:
        raise SpecError(problems)
    return sweeps


def _all(experiment: Experiment, sweeping: Plan, sweeps: Sequence[Sweep], rules: _Rules) -> pl.DataFrame:
    """Every combination of every sweep that the rules keep, equal ones once."""
    if drawn := list(_drawn(experiment, sweeping)):
        raise SpecError(drawn)
    total = sum(s.size or 0 for s in sweeps)
    if total > MAX_COMBINATIONS:
        count = f"{total:,}" if total < 10**15 else f"{Decimal(total):.1e}"
        message = f"{count} are too many combinations (at most {MAX_COMBINATIONS:,})"
        raise SpecError([experiment.problem(("parameters",), message, '"sample" takes some of them at random')])
    kept = pl.concat([rules(block) for s in sweeps for block in _blocks(s, sweeping.names)], how="vertical_relaxed")
    if len(sweeps) > 1:
        kept = kept.unique(subset=list(sweeping.names) or None, keep="first", maintain_order=True)
    if not kept.height:
        message = f'no combination is left: "where" is true for none of {total:,}'
        raise SpecError([experiment.problem(("where",), message)])
    return kept.rechunk()


def _blocks(s: Sweep, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    for start in range(0, s.size or 0, _BLOCK):
        block = s.block(np.arange(start, min(start + _BLOCK, s.size or 0)))
        yield block.select(names) if names else block


def _drawn(experiment: Experiment, sweeping: Plan) -> Iterator[Problem]:
    for i, mapping in enumerate(sweeping.mappings):
        for name, domain in mapping.items():
            if domain.drawn:
                message = f'"{name}" is drawn at random, so these parameters need "sample"'
                yield _at(experiment, i, name, message, "add sample: {n: 50}")


def _empty(experiment: Experiment, sweeps: Sequence[Sweep]) -> list[Problem]:
    """The parameters that have no value, in mappings that therefore have no combination."""
    return [
        _at(experiment, i, axis.names[0], f'"{axis.names[0]}" has no values, so there is no combination')
        for i, s in enumerate(sweeps)
        for axis in s.axes
        if axis.size == 0
    ]


def _at(experiment: Experiment, i: int, name: str, message: str, hint: str = "") -> Problem:
    """A problem at a parameter of mapping `i`, whether the file has one mapping or a list of them."""
    paths: tuple[tuple[str | int, ...], ...] = (("parameters", i, name), ("parameters", name))
    return max((experiment.problem(p, message, hint) for p in paths), key=lambda p: (p.line, p.column))


# --- Combinations that are not of the file


def carried(earlier: Combinations, experiment: Experiment, current: Combinations) -> tuple[Combinations, str]:
    """What was combined beside an earlier file, with the parameters, `derive` and `where` of this one, whose own
    combinations are `current`; and why some of it is left out, or an empty text.

    A parameter that is new has the one value that all of `current` have, or its default.
    """
    table, columns = ValueTable(), []
    for name in current.frame.columns:
        if name in experiment.derive:
            continue
        series = earlier.frame[name] if name in earlier.frame.columns else None
        if series is not None and name not in earlier.values:
            columns.append(series)
            continue
        listed = earlier.values.get(name, [])
        if series is None:
            same = current.frame[name].n_unique() == 1
            if not same and name not in experiment.defaults:
                return Combinations(current.frame.clear()), f'they have no value of the parameter "{name}"'
            listed = [current.row(0)[name] if same else experiment.defaults[name]]
            series = pl.Series([0] * earlier.height, dtype=pl.UInt32)
        codes = pl.Series(table.codes(name, listed), dtype=pl.UInt32)
        columns.append(codes.gather(series).alias(name))
    frame = as_frame(columns, earlier.height)
    try:
        kept = _Rules(experiment, table)(frame)
    except SpecError as error:
        return Combinations(current.frame.clear()), error.problems[0].message
    kept = kept.select(current.frame.columns).unique(maintain_order=True) if kept.width else kept
    return Combinations(kept, table.values), '"where" is not true for them' if kept.height < frame.height else ""


# --- Derive, where


class _Rules:
    """Adds the derived parameters to combinations and keeps those for which `where` is true."""

    def __init__(self, experiment: Experiment, table: ValueTable) -> None:
        self.experiment, self.table = experiment, table
        self.columns: dict[str, pl.Series] = {}

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Raises SpecError with all that is wrong with the expressions."""
        problems: list[Problem] = []
        failed: set[str] = set()
        for name, text in self.experiment.derive.items():
            try:
                if failed.isdisjoint(expression.check(text, frame.columns)):
                    result = expression.evaluate(text, self._typed(frame, text)).alias(name)
                    frame = frame.with_columns(result + 0.0 if result.dtype == pl.Float64 else result)
                    continue
            except ExpressionError as error:
                problems.append(self._problem(("derive", name), error))
            failed.add(name)
            frame = frame.with_columns(pl.lit(None, pl.String).alias(name))
        where = self.experiment.where
        try:
            if where is not None and failed.isdisjoint(expression.check(where, frame.columns)):
                frame = frame.filter(expression.condition(where, self._typed(frame, where)))
        except ExpressionError as error:
            problems.append(self._problem(("where",), error))
        if problems:
            raise SpecError(problems)
        return frame

    def _typed(self, frame: pl.DataFrame, text: str) -> pl.DataFrame:
        """The columns that an expression uses, with real types."""
        columns = []
        for name in expression.check(text, frame.columns):
            series = frame[name]
            if series.dtype == pl.UInt32:
                values = self.table.values[name]
                if name not in self.columns or self.columns[name].len() != len(values):
                    self.columns[name] = column(values)
                series = self.columns[name].gather(series).alias(name)
            columns.append(series)
        return as_frame(columns, frame.height)

    def _problem(self, keypath: tuple[str, ...], error: ExpressionError) -> Problem:
        return self.experiment.problem(keypath, error.message, error.hint, offset=error.offset)
