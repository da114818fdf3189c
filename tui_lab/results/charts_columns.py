"""Which columns a chart shows, and their values as they go on its axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from tui_lab.results.charts import USED, Axis, ChartError, Kind, NothingToDraw, Request, Role, Source
from tui_lab.results.plain import plain_column, shown
from tui_lab.results.sql_text import replace, tokens
from tui_lab.spec import expression
from tui_lab.spec.problem import suggest

FACTS: Final = frozenset(
    """task_id repeat seed version planned state reason attempt attempts duration started_at ended_at node exit_code
    signal peak_rss cpu_time leftover step row
    break_id repeat_id combination_id experiment_id experiment_name tries max_tries cluster_name node_name
    cluster_in_lab node_in_lab node_in_cluster worker_in_lab worker_in_cluster worker_in_node output_dir work_dir""".split()
)
"""Columns that are neither parameters nor metrics, unless they are asked for."""

LETTERS: Final[dict[Role, str]] = {"x": "X", "y": "Y", "z": "Z", "hue": "H", "style": "S"}


# ---- which columns


def choose(request: Request, source: Source) -> dict[Role, str]:
    """The column of each role: those asked for, and the natural ones for the rest. Raises ChartError."""
    kind = request.kind
    for role in request.columns:
        if role not in USED[kind]:
            used = ", ".join(f"--{name}-column" for name in USED[kind])
            raise ChartError(f"{kind} has no {role} column; it takes {used}")
    chosen = {role: find(name, source.frame.columns) for role, name in request.columns.items()}
    parameters, metrics = _known(source)
    needed: tuple[Role, ...] = tuple(r for r in USED[kind] if r not in ("hue", "style"))
    for role in needed:
        if role not in chosen:
            name = _DEFAULTS[kind](role, chosen, source.frame, parameters, metrics)
            if name is not None:
                chosen[role] = name
            elif not (kind == "box" and role == "x"):
                have = ", ".join(source.frame.columns[:12]) or "none"
                raise ChartError(f"{kind} needs --{role}-column; the columns are {have}")
    if kind in ("lines", "steps", "categories", "box") and not {"x", "hue", "style"} & request.columns.keys():
        hue = _fewest(source.frame, [p for p in parameters if p not in chosen.values()], _is_category)
        if hue is None and kind == "steps":
            hue = _fewest(source.frame, [p for p in parameters if p not in chosen.values()])
        if hue is not None:
            chosen["hue"] = hue
    return chosen


def find(name: str, columns: Sequence[str]) -> str:
    """The column that is meant; `in_NAME` and `out_NAME` also find NAME. Raises ChartError."""
    if name in columns:
        return name
    lower = {column.lower(): column for column in columns}
    for candidate in (name, name.removeprefix("in_"), name.removeprefix("out_"), f"in_{name}", f"out_{name}"):
        if candidate.lower() in lower:
            return lower[candidate.lower()]
    hint = suggest(name, columns) or f"there are {', '.join(columns[:12])}" + (", ..." if len(columns) > 12 else "")
    raise ChartError(f'there is no column "{name}"; {hint}')


def _known(source: Source) -> tuple[list[str], list[str]]:
    """Parameters and metrics; of foreign rows `in_` and `out_` tell, or else the last number is the metric."""
    frame = source.frame
    if source.parameters or source.metrics:
        return list(source.parameters), [m for m in source.metrics if is_number(frame[m])]
    columns = [name for name in frame.columns if name not in FACTS]
    if len(columns) < 2 or not any(is_number(frame[name]) for name in columns):
        columns = list(frame.columns)
    metrics = [name for name in columns if name.startswith("out_") and is_number(frame[name])]
    if metrics:
        return [name for name in columns if name.startswith("in_")], metrics
    numbers = [name for name in columns if is_number(frame[name])]
    metrics = numbers[:0:-1] or numbers
    return [name for name in columns if name not in metrics[:1]], metrics


def is_number(series: pl.Series) -> bool:
    return series.dtype.is_numeric() or series.dtype == pl.Duration


def _is_axis(series: pl.Series) -> bool:
    """Values with distances between them."""
    return is_number(series) or series.dtype.is_temporal()


def _is_category(series: pl.Series) -> bool:
    return not _is_axis(series)


def _fewest(
    frame: pl.DataFrame, names: Sequence[str], fits: Callable[[pl.Series], bool] = lambda _: True
) -> str | None:
    counts = {name: frame[name].n_unique() for name in names if fits(frame[name])}
    counts = {name: count for name, count in counts.items() if count > 1}
    return min(counts, key=lambda name: counts[name]) if counts else None


def _most(frame: pl.DataFrame, names: Sequence[str], fits: Callable[[pl.Series], bool]) -> str | None:
    counts = {name: frame[name].n_unique() for name in names if fits(frame[name])}
    return max(counts, key=lambda name: counts[name]) if counts else None


Default = Callable[[Role, dict[Role, str], pl.DataFrame, list[str], list[str]], str | None]


def _first_free(names: Sequence[str], chosen: dict[Role, str]) -> str | None:
    return next((name for name in names if name not in chosen.values()), None)


def _of_lines(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "y":
        return _first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    return _most(frame, free, _is_axis) or _most(frame, free, lambda _: True)


def _of_steps(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "x" and "step" in frame.columns:
        return "step"
    return _of_lines(role, chosen, frame, parameters, metrics)


def _of_categories(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "y":
        return _first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    return _most(frame, free, _is_category) or _fewest(frame, free) or _most(frame, free, lambda _: True)


def _of_heatmap(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "z":
        return _first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    if role == "x":
        return _most(frame, free, _is_axis) or _most(frame, free, lambda _: True)
    return _most(frame, free, _is_category) or _most(frame, free, lambda _: True)


def _of_metrics(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    return _first_free(metrics, chosen)


_DEFAULTS: Final[dict[Kind, Default]] = {
    "lines": _of_lines,
    "scatter": _of_lines,
    "steps": _of_steps,
    "categories": _of_categories,
    "box": _of_categories,
    "heatmap": _of_heatmap,
    "hist": _of_metrics,
    "pareto": _of_metrics,
}


# ---- their values


@dataclass
class Prepared:
    """The values of all roles, changed as asked, in `rows`: a column for each role, under its name."""

    request: Request
    source: Source
    columns: dict[Role, str]
    rows: pl.DataFrame
    left_out: Counter[str] = field(default_factory=Counter)

    def label(self, role: Role) -> str:
        return self.request.labels.get(role, self.columns.get(role, ""))

    def notes(self) -> tuple[str, ...]:
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
        """Turn a role's column into finite floats. Raises ChartError where it holds no numbers."""
        series, name = self.rows[role], self.columns[role]
        if series.dtype == pl.Null:
            series = series.cast(pl.Float64)
        if not is_number(series) and series.dtype != pl.Boolean:
            raise ChartError(f"{name} holds no numbers; {_other_words(series)}")
        values = plain_column(series).cast(pl.Float64)
        self.rows = self.rows.with_columns(values.alias(role))
        self._finite(role, name, log)
        return Axis(self.label(role), "number", log=log)

    def _finite(self, role: Role, name: str, log: bool) -> None:
        self.drop(self.rows[role].is_not_null(), f"{name} is null")
        self.drop(self.rows[role].is_not_nan(), f"{name} is NaN")
        self.drop(self.rows[role].is_finite(), f"{name} is infinite")
        if log:
            self.drop(self.rows[role] > 0, f"{name} is not above 0, and its axis is logarithmic")

    def place(self, role: Role, log: bool = False) -> Axis:
        """Turn a role's column into places on an axis: numbers, times, or else categories. Raises ChartError."""
        series = self.rows[role]
        if is_number(series):
            return self.number(role, log)
        if log:
            raise ChartError(f"{self.columns[role]} holds no numbers, so its axis can't be logarithmic")
        if series.dtype in (pl.Date, pl.Datetime):
            seconds = series.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
            self.rows = self.rows.with_columns(seconds.alias(role))
            self._finite(role, self.columns[role], False)
            return Axis(self.label(role), "time")
        return self.category(role)

    def category(self, role: Role) -> Axis:
        """Turn a role's column into the indices of its values."""
        series = self.rows[role]
        names, codes = coded(series)
        self.rows = self.rows.with_columns(codes.alias(role))
        return Axis(self.label(role), "category", tuple(names))

    def require(self) -> None:
        """Raises NothingToDraw where no row is left."""
        if not self.rows.height:
            reasons = "; ".join(self.notes()) or "there are no rows"
            raise NothingToDraw(f"nothing to draw: {reasons}")


def _other_words(series: pl.Series) -> str:
    first = next((repr(value) for value in series if value is not None), "null")
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
    return [name_of(value) for value in plain_column(distinct)], joined["code"].cast(pl.Float64)


def name_of(value: object) -> str:
    """A value as the name of a category."""
    if value is None:
        return "null"
    return f"{value:.6g}" if isinstance(value, float) else shown(value)


def prepare(request: Request, source: Source, columns: dict[Role, str]) -> Prepared:
    """The rows of a chart. Raises ChartError, also for a mistake in one of the changes."""
    series = {role: source.frame[name] for role, name in columns.items()}
    for role, code in request.changes.items():
        if role not in columns:
            raise ChartError(f"--{role}-change: there is no {role} column")
        series[role] = _changed(role, code, source.frame, columns)
    rows = pl.DataFrame([values.alias(role) for role, values in series.items()])
    return Prepared(request, source, columns, rows)


def _changed(role: Role, code: str, frame: pl.DataFrame, columns: dict[Role, str]) -> pl.Series:
    letters = {LETTERS[r]: frame[name] for r, name in columns.items()}
    taken = {letter.lower() for letter in letters}
    others = [frame[name] for name in frame.columns if name.lower() not in taken]
    table = pl.DataFrame([*(values.alias(letter) for letter, values in letters.items()), *others])
    rewritten = replace(code, list(_python_words(code)))
    try:
        return expression.evaluate(rewritten.text, table)
    except expression.ExpressionError as error:
        place = "" if error.offset is None else f"\n  {code}\n  {' ' * rewritten.origin(error.offset)}^"
        hint = f"; {error.hint}" if error.hint else ""
        raise ChartError(f"--{role}-change: {error.message}{hint}{place}") from None


def _python_words(code: str) -> Iterator[tuple[int, int, str]]:
    """What stands in patas' examples and has another name in SQL: `X[i]` is X, `int(...)`, `str(...)`,
    `math.log2(...)`."""
    found = list(tokens(code))
    words = [token.text if token.kind in ("name", "other") else "" for token in found]
    for at, word in enumerate(words):
        following = words[at + 1 : at + 4]
        if word in LETTERS.values() and following == ["[", "i", "]"]:
            yield found[at + 1].start, found[at + 3].end, ""
        elif word in ("int", "str") and following[:1] == ["("]:
            yield found[at].start, found[at].end, {"int": "trunc", "str": "concat"}[word]
        elif word == "math" and following[:1] == ["."]:
            name = {"log": "ln"}.get(following[1], following[1]) if len(following) > 1 else ""
            yield found[at].start, found[min(at + 2, len(found) - 1)].end, name
