"""What the kinds of chart share: series by hue and style, aggregates of rows, and the printed table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import polars as pl

from tui_lab.results.charts.columns import Prepared, coded
from tui_lab.results.charts.model import Aggregate, Axis, Chart, ChartError, ChartKind, Role, Series
from tui_lab.results.charts.statistics import aggregate, describe, slope
from tui_lab.results.statistics.text import interval, short

MOST_SLOPES: Final = 6  # series whose slopes are given
_AGGREGATED: Final = ("x", "y", "low", "high", "n")


def no_point(point: Aggregate) -> str:
    """Return why there is no point."""
    if point == "std":
        return "a single value has no std: nothing was repeated"
    return f"the {point} is too large for a float"


def aggregated(prepared: Prepared, x: Axis, shape: ChartKind) -> Chart:
    """Return a chart of the aggregate of y over x, for each hue and style. Raises ChartError."""
    request = prepared.request
    point, error = request.aggregate, request.error
    counted = point == "count"
    y = prepared.number("y", "y" in prepared.log and not counted)
    prepared.require()
    groups = Groups(prepared)
    keys = [*groups.keys, "x"]
    found = aggregate(prepared.rows, keys, point, error).sort(keys, maintain_order=True)
    if not found.height:
        raise ChartError(no_point(point))
    if "y" in prepared.log:
        found = found.filter(pl.col("y") > 0)
    if y.kind in ("time", "clock") and point in ("sum", "product", "std"):
        raise ChartError(f"there is no {point} of times; {prepared.columns['y']} holds them")
    kind: Any = "number" if counted else y.kind
    y_label = y.label if request.labels.get("y") or point == "mean" else f"{point} of {y.label}"
    y = Axis(y_label, kind, log="y" in prepared.log, range=prepared.range("y", "y" in prepared.log), whole=counted)
    if request.fit and shape.cut and y.range is None and not y.log:
        y = replace(y, range=_fitted(found))
    series = groups.split(found, _AGGREGATED)
    table = groups.named(found.with_columns(shown(found[c], y) for c in ("y", "low", "high")), x, _AGGREGATED)
    words = describe(point, error) if found["low"].count() else ""
    cut = _of_bars(shape, y)
    unfitted = request.fit and shape.cut and y.range is None and not y.log
    why = ("the bars begin at 0: there is nothing to leave out",) if unfitted else ()
    return Chart(
        shape,
        x,
        y,
        series,
        table,
        title=request.labels.get("title", ""),
        legend=groups.legend,
        caption="; ".join(filter(None, (*cut, caption(prepared, shape, found["n"], words)))),
        notes=(*prepared.notes(), *cut, *why, *slopes(x, y, series)),
        error_style=request.error_style,
        gap=request.gap,
    )


def _fitted(found: pl.DataFrame) -> tuple[float, float] | None:
    """Where an axis begins and ends that has room for bars of one sign without 0; None where there is none."""
    ends = pl.concat(found[name].drop_nulls() for name in ("y", "low", "high"))
    low, high = float(ends.min()), float(ends.max())  # type: ignore[arg-type]
    if not (low < high and low * high > 0 and math.isfinite(high - low)):
        return None
    step = 10.0 ** math.floor(math.log10((high - low) / 5))
    least = math.floor((low - (high - low) / 10) / step) * step
    most = math.ceil((high + (high - low) / 10) / step) * step
    return (least, most) if least * most > 0 else None


def _of_bars(shape: ChartKind, y: Axis) -> tuple[str, ...]:
    """Return the note that lengths don't compare, if bars are cut."""
    if not shape.bars or y.range is None or y.log or y.range[0] <= 0 <= y.range[1]:
        return ()
    what = "bands" if shape.connected else "bars"
    return (f"the {what} begin at {short(y.range[0] if y.range[0] > 0 else y.range[1])}, not at 0",)


def slopes(x: Axis, y: Axis, series: Sequence[Series]) -> tuple[str, ...]:
    """Return the slopes of the series where both axes are logarithmic: the powers of x with which y grows."""
    if not (x.log and y.log):
        return ()
    found = [(one.name, slope(one.points["x"], one.points["y"])) for one in series[:MOST_SLOPES]]
    said = [(f"{name}: " if name else "") + _slope(*steep) for name, steep in found if steep is not None]
    more = "; ..." if len(series) > MOST_SLOPES else ""
    return (f"slope (95 % interval): {'; '.join(said)}{more}",) if said else ()


def _slope(steep: float, half: float | None) -> str:
    return interval(steep, half) if half else short(steep)


def caption(prepared: Prepared, shape: ChartKind, n: pl.Series, error: str) -> str:
    """Return what a point is, in one line."""
    low, high = int(n.min() or 0), int(n.max() or 0)  # type: ignore[arg-type]
    if high <= 1 and prepared.request.aggregate != "count":
        return ""
    count = f"{low}" if low == high else f"{low} to {high}"
    what = "band" if prepared.request.error_style == "band" and not shape.bars else "bars"
    return f"{prepared.request.aggregate}, n = {count}" + (f"; {what}: {error}" if error else "")


class Groups:
    """The series of a chart: rows grouped by hue and style."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.keys: list[str] = []
        self.names: dict[str, list[str]] = {}
        for role in _looks(prepared):
            if prepared.columns.get("hue") == prepared.columns[role] and role == "style":
                continue
            names, codes = coded(prepared.rows[role])
            prepared.rows = prepared.rows.with_columns(codes.alias(role))
            self.keys.append(role)
            self.names[role] = names
        own = [prepared.columns[role] for role in _looks(prepared) if role in self.keys]
        self.colors: list[int] | None = None
        if "hue" in self.keys and prepared.source.palette is not None:
            column = prepared.columns["hue"]
            self.colors = prepared.source.palette.indices(prepared.source.name, column, self.names["hue"])
        self.legend = prepared.request.labels.get("legend", ", ".join(own)) if own else ""

    def split(self, found: pl.DataFrame, columns: Sequence[str]) -> tuple[Series, ...]:
        """Return a series for each pair of hue and style."""
        if not self.keys:
            return (Series("", found.select(columns)),)
        return tuple(self._series(found, columns))

    def _series(self, found: pl.DataFrame, columns: Sequence[str]) -> Iterator[Series]:
        for _, part in found.sort(self.keys, maintain_order=True).group_by(self.keys, maintain_order=True):
            codes = {key: int(part[key][0]) for key in self.keys}
            name = ", ".join(self.names[key][code] for key, code in codes.items())
            color = codes.get("hue", 0)
            if self.colors is not None:
                color = self.colors[color]
            yield Series(name, part.select(columns), color, codes.get("style", color))

    def named(self, found: pl.DataFrame, x: Axis | None, columns: Sequence[str]) -> pl.DataFrame:
        """The table to read: names instead of codes, and columns called as they are."""
        table = [pl.Series(key, taken(self.names[key], found[key])) for key in self.keys]
        table += [shown_x(found["x"], x) if c == "x" and x is not None else found[c] for c in columns]
        return renamed(self.prepared, table)


def _looks(prepared: Prepared) -> list[Role]:
    looks: tuple[Role, ...] = ("hue", "style")
    return [role for role in looks if role in prepared.columns]


def taken(names: Sequence[str], codes: pl.Series) -> list[str]:
    """Return the names that codes stand for."""
    return [names[int(code)] for code in codes]


def shown_x(values: pl.Series, axis: Axis) -> pl.Series:
    """Return places on the x axis as the values that they were."""
    if axis.kind == "category":
        return pl.Series(values.name, taken(axis.categories, values))
    if axis.kind != "number":
        return shown(values, axis)
    whole = values.cast(pl.Int64, strict=False)
    return whole if values.len() and (whole.cast(pl.Float64) == values).all() else values


def shown(values: pl.Series, axis: Axis) -> pl.Series:
    """Return seconds as the times or durations that they were; numbers stay."""
    if axis.kind == "time":
        return (values * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    if axis.kind == "clock":
        return (values * 1e9).round().cast(pl.Int64).cast(pl.Time)
    return (values * 1e6).round().cast(pl.Int64).cast(pl.Duration("us")) if axis.kind == "duration" else values


def renamed(prepared: Prepared, columns: list[pl.Series]) -> pl.DataFrame:
    """Return columns under the names that users know; of equal names the first keeps it."""
    taken: set[str] = set()
    renamed = []
    for series in columns:
        own = prepared.columns.get(series.name, series.name)  # type: ignore[call-overload]
        name = own
        while name in taken:
            name = f"{name}_{series.name}"
        taken.add(name)
        if series.name == "n":
            series = series.cast(pl.Int64)
        renamed.append(series.alias(name))
    return pl.DataFrame(renamed)


def varying(prepared: Prepared) -> list[str]:
    """The parameters that make a setting; a parameter named `seed` counts as a repeat."""
    frame = prepared.source.frame
    return [name for name in prepared.source.parameters if name != "seed" and frame[name].n_unique() > 1]


def settings_of(prepared: Prepared, names: list[str]) -> tuple[pl.DataFrame, pl.Series]:
    """The distinct settings, and which one each row has; a row is one where nothing is known of
    parameters."""
    frame = prepared.source.frame
    if not names:
        return frame, pl.Series(range(frame.height), dtype=pl.UInt32)
    settings = frame.select(names).unique(maintain_order=True)
    index = settings.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("\0setting"))
    rows = frame.select(names).join(index, on=names, how="left", nulls_equal=True, maintain_order="left")
    return settings, rows["\0setting"]
