"""What the tasks that failed alike have in common, and those that are done have not."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context
from itertools import combinations
from typing import Any, Final, Literal

import polars as pl

from tui_lab.results.sql.text import is_equal, quoted

Operator = Literal["=", ">=", "<=", "in"]

LEAST: Final = 3
"""Failures from which something is said."""
COVERED: Final = 2 / 3
"""The share of the failures for which a condition holds, at least."""
LISTED: Final = 5
"""Values that a condition lists, at most."""
ON_A_GRID: Final = 20
"""Distinct numbers up to which a limit is one of them; with more it is a short number between two."""
PAIRED: Final = 5
"""Conditions that are tried in pairs."""
GAIN: Final = 0.1
"""By how much the score of a pair is above that of its better condition."""
NEARLY: Final = 0.9
"""Other conditions are said where their score is so many times the best one."""
SAID: Final = 3
LEVEL: Final = 0.05
_READ: Final = 6  # digits of a number that is read
HINT: Final = 0.5
"""The corrected probability of chance from which on nothing is said."""


@dataclass(frozen=True)
class Condition:
    """A condition on a column, which holds for some of its values."""

    column: str
    operator: Operator
    values: tuple[Any, ...]

    @property
    def sql(self) -> str:
        """The condition as SQL has it."""
        name = quoted(self.column)
        if self.operator == "=":
            return is_equal(self.column, _short(self.values[0]))
        if self.operator == "in":
            texts = [is_equal(self.column, _short(value)) for value in self.values]
            if any(value is None or value in (math.inf, -math.inf) or value != value for value in self.values):
                return f"({' OR '.join(texts)})"
            return f"{name} IN ({', '.join(text.removeprefix(f'{name} = ') for text in texts)})"
        return f"{name} {self.operator} {_short(self.values[0])!r}"

    @property
    def words(self) -> str:
        """The condition as it is read: its numbers rounded where they are long, so that it holds for them still."""
        way = {">=": ROUND_FLOOR, "<=": ROUND_CEILING}.get(self.operator, ROUND_HALF_EVEN)
        return replace(self, values=tuple(_rounded(value, way) for value in self.values)).sql

    @property
    def elsewhere(self) -> str:
        """Where the other tasks are."""
        return {">=": "below", "<=": "above"}.get(self.operator, "elsewhere")

    def holds(self) -> pl.Expr:
        """Return where it holds."""
        column = pl.col(self.column)
        if self.operator in (">=", "<="):
            limit = pl.lit(self.values[0])
            met = column >= limit if self.operator == ">=" else (column <= limit)
            if isinstance(self.values[0], float):
                met = met & column.is_not_nan()  # which Polars takes for the largest number, and SQL, too
            return met.fill_null(False)
        return pl.any_horizontal([column.eq_missing(pl.lit(value)) for value in self.values])


def _short(value: Any) -> Any:
    """A whole number without its `.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _rounded(value: Any, way: str) -> Any:
    if not isinstance(value, float) or not math.isfinite(value) or len(repr(value)) <= _READ + 2:
        return value
    return float(Context(prec=_READ, rounding=way).create_decimal_from_float(value))


@dataclass(frozen=True)
class Shared:
    """Conditions that hold together for most of the failed tasks, and seldom for those that are done. Tasks are counted
    that failed in this way or are done. `p`: that chance brings it about, corrected for all that was tried."""

    conditions: tuple[Condition, ...]
    failed: int
    inside: int
    failed_inside: int
    outside: int
    score: float
    p: float

    @property
    def certain(self) -> bool:
        """Whether it is more than chance."""
        return self.p < LEVEL

    @property
    def sql(self) -> str:
        """The conditions as SQL has them."""
        return " AND ".join(condition.sql for condition in self.conditions)

    def renamed(self, names: Mapping[str, str]) -> Shared:
        """Return the same with other names of columns."""
        return replace(self, conditions=tuple(replace(one, column=names[one.column]) for one in self.conditions))

    @property
    def words(self) -> str:
        """What they share as a sentence, with its counts."""
        k, n = self.failed_inside, self.inside
        who = f"all {self.failed:,}" if k == self.failed else f"{k:,} of {self.failed:,}"
        more = f", where {n - k:,} {'is' if n - k == 1 else 'are'} done" if n > k else ""
        where = self.conditions[0].elsewhere if len(self.conditions) == 1 else "elsewhere"
        rest = self.failed - k
        where_it_is = " AND ".join(condition.words for condition in self.conditions)
        others = f"{rest:,} of {self.outside:,} {where}" if rest else f"none of {self.outside:,} {where}"
        return f"{who} with {where_it_is}{more}; {others}" + ("" if self.certain else "; may be chance")


def shared(frame: pl.DataFrame, tasks: Collection[int], columns: Sequence[str], kinds: int = 1) -> list[Shared]:
    """Return what the tasks of one kind of failure share, the best first; nothing where that would say nothing.

    frame: all tasks, with `task_id` and `state`. columns: those that may tell. kinds: how many kinds of failure are
    looked at, for which the level is corrected.
    """
    ids = pl.Series("task_id", list(tasks), dtype=frame["task_id"].dtype)
    failed = frame["task_id"].is_in(ids.implode())
    known = [name for name in dict.fromkeys(columns) if name in frame.columns and not frame.schema[name].is_nested()]
    people = frame.select(*known, failed.alias("\0failed")).filter(failed | (frame["state"] == "done"))
    total, wrong = people.height, int(people["\0failed"].sum())
    if wrong < LEAST or wrong == total:
        return []
    best: list[Shared] = []
    tried = 0
    for name in known:
        found: Shared | None = None
        conditions, looked_at = _conditions(people.select(name, "\0failed"), name)
        tried += looked_at
        for condition, n, k in conditions:
            one = _judged((condition,), n, k, total, wrong)
            if one is not None and (found is None or one.score > found.score):
                found = one
        if found is not None:
            best.append(found)
    best.sort(key=lambda one: -one.score)
    pairs = []
    for one, other in combinations(best[:PAIRED], 2):
        both = (*one.conditions, *other.conditions)
        both = both if known.index(both[0].column) < known.index(both[1].column) else both[::-1]
        counts = people.select(both[0].holds() & both[1].holds(), "\0failed").to_series(0)
        n, k = int(counts.sum()), int((counts & people["\0failed"]).sum())
        pair = _judged(both, n, k, total, wrong)
        if pair is not None and pair.score > max(one.score, other.score) + GAIN:
            pairs.append(pair)
    ranked = sorted([*pairs, *best], key=lambda one: -one.score)
    found_all: list[Shared] = []
    for one in ranked[: SAID + len(pairs)]:
        names = {condition.column for condition in one.conditions}
        if any(names & {condition.column for condition in other.conditions} for other in found_all):
            continue
        times = kinds * (tried if len(one.conditions) == 1 else max(1, tried * tried // 2))
        p = min(1.0, times * _fisher(total, wrong, one.inside, one.failed_inside))
        judged = Shared(one.conditions, wrong, one.inside, one.failed_inside, one.outside, one.score, p)
        if p >= HINT:
            continue
        if not found_all or (judged.certain and judged.score >= NEARLY * found_all[0].score):
            found_all.append(judged)
    return found_all[:SAID]


def _judged(conditions: tuple[Condition, ...], n: int, k: int, total: int, wrong: int) -> Shared | None:
    """Return conditions with their score: the failed share inside minus that outside, times the share of the failures
    that is inside; None where too few are, or all tasks."""
    if k < COVERED * wrong or n == total:
        return None
    score = (k / n - (wrong - k) / (total - n)) * k / wrong
    return Shared(conditions, wrong, n, k, total - n, score, 1.0) if score > 0 else None


def _conditions(people: pl.DataFrame, name: str) -> tuple[list[tuple[Condition, int, int]], int]:
    """Return conditions on a column, each with how many tasks meet it and how many of them failed; and how many
    conditions could have been chosen."""
    counts = people.group_by(name).agg(pl.len().alias("\0n"), pl.col("\0failed").sum()).sort(name, nulls_last=True)
    values, numbers, failures = counts[name].to_list(), counts["\0n"].to_list(), counts["\0failed"].to_list()
    found: list[tuple[Condition, int, int]] = []
    if len(values) < 2:
        return found, 0
    for value, n, k in zip(values, numbers, failures, strict=True):
        if k:
            found.append((Condition(name, "=", (value,)), n, k))
    ordered = [
        place
        for place, value in enumerate(values)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    ]
    operators: tuple[tuple[Operator, list[int]], ...] = ((">=", ordered[::-1]), ("<=", ordered))
    for operator, places in operators:
        n = k = 0
        for at, place in enumerate(places[:-1]):
            n, k = n + numbers[place], k + failures[place]
            following = places[at + 1]
            if at and failures[place] and not failures[following]:
                limit = values[place]
                limit = limit if len(ordered) <= ON_A_GRID else between(limit, values[following])
                found.append((Condition(name, operator, (limit,)), n, k))
    looked_at = len(values) + 2 * len(ordered)
    hit = [place for place, k in enumerate(failures) if k]
    if 2 <= len(hit) <= LISTED and len(hit) < len(values):
        chosen = tuple(values[place] for place in hit)
        n, k = sum(numbers[place] for place in hit), sum(failures[place] for place in hit)
        found.append((Condition(name, "in", chosen), n, k))
        looked_at += math.comb(len(values), len(hit))
    return found, looked_at


def between(value: float, following: float) -> float:
    """Return the number with the fewest digits that is the value, or lies between it and the following one."""
    if isinstance(value, int):
        return value
    low, high = sorted((value, following))
    for digits in range(1, 17):
        for one in (value, (value + following) / 2):
            short = float(f"{one:.{digits}g}")
            if low <= short <= high and short != following:
                return short
    return value


def _fisher(total: int, wrong: int, inside: int, both: int) -> float:
    """Return the probability of `both` or more failures inside, where they are spread by chance: Fisher's exact test,
    one-sided."""

    def ways(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    all_ways = ways(total, wrong)
    terms = [ways(inside, k) + ways(total - inside, wrong - k) - all_ways for k in range(both, min(inside, wrong) + 1)]
    largest = max(terms)
    return min(1.0, math.exp(largest) * sum(math.exp(term - largest) for term in terms))
