"""How each kind of chart comes from its rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from tui_lab.results.charts.columns import Prepared, coded
from tui_lab.results.charts.model import Aggregate, Axis, Chart, ChartError, Goal, Kind, Request, Role, Series
from tui_lab.results.charts.statistics import aggregate, boxes, describe, slope
from tui_lab.results.statistics.text import interval, short

# --- The Pareto front of two metrics: the settings that no other setting beats in both
_AXES: Final[tuple[Role, ...]] = ("x", "y")


def pareto(prepared: Prepared) -> Chart:
    """A point for each setting, at the means of its repeats, and the front among them."""
    request = prepared.request
    names = _varying(prepared)
    settings, codes = _settings(prepared, names)
    prepared.rows = prepared.rows.with_columns(codes.alias("setting"))
    axes = {role: prepared.number(role, role in request.log) for role in _AXES}
    own = {role: prepared.columns[role] for role in _AXES}
    notes = [
        f"{name} has no goal, so more is taken to be better; say otherwise with --goal {name}=min"
        for name in own.values()
        if name not in request.goals
    ]
    goals: dict[Role, Goal] = {role: request.goals.get(name, "max") for role, name in own.items()}
    prepared.require()
    means = prepared.rows.group_by("setting", maintain_order=True).agg(
        pl.col("x").mean(), pl.col("y").mean(), pl.len().cast(pl.Int64).alias("n")
    )
    front = in_front(means["x"], means["y"], goals["x"], goals["y"])
    ordered = pl.concat(
        [
            means.filter(front).sort("x", "y").with_columns(front=True),
            means.filter(~front).with_columns(front=False),
        ]
    )
    best, rest = ordered.filter("front"), ordered.filter(~pl.col("front"))
    columns = [settings[name].gather(ordered["setting"]) for name in names]
    shown = {name: ordered[role] for role, name in own.items()}
    for name in ("n", "front"):
        shown.setdefault(name, ordered[name])
    columns += [column.alias(name) for name, column in shown.items() if name not in names]
    wanted = ", ".join(f"{goals[role]} {name}" for role, name in own.items())
    return Chart(
        "pareto",
        axes["x"],
        axes["y"],
        (Series("front", best.select("x", "y"), 0, 0), Series("others", rest.select("x", "y"), 1, 1)),
        pl.DataFrame(columns),
        title=request.labels.get("title", ""),
        legend=request.labels.get("legend", "settings"),
        caption=f"front: {best.height:,} of {ordered.height:,} settings, means; {wanted}",
        notes=(*prepared.notes(), *notes),
    )


def _varying(prepared: Prepared) -> list[str]:
    """The parameters that make a setting; a parameter named `seed` counts as a repeat."""
    frame = prepared.source.frame
    return [name for name in prepared.source.parameters if name != "seed" and frame[name].n_unique() > 1]


def _settings(prepared: Prepared, names: list[str]) -> tuple[pl.DataFrame, pl.Series]:
    """The distinct settings, and which one each row has; a row is one where nothing is known of
    parameters."""
    frame = prepared.source.frame
    if not names:
        return frame, pl.Series(range(frame.height), dtype=pl.UInt32)
    settings = frame.select(names).unique(maintain_order=True)
    index = settings.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("\0setting"))
    rows = frame.select(names).join(index, on=names, how="left", nulls_equal=True, maintain_order="left")
    return settings, rows["\0setting"]


def in_front(x: pl.Series, y: pl.Series, x_goal: Goal, y_goal: Goal) -> pl.Series:
    """Which points no other point beats: at least as good in both, and better in one. Equal points stand
    together."""
    points = pl.DataFrame({"x": -x if x_goal == "max" else x, "y": -y if y_goal == "max" else y, "row": range(len(x))})
    # Per x the least y; a point of the front has it, and it is below the least y of every smaller x.
    least = points.group_by("x").agg(pl.col("y").min().alias("least")).sort("x")
    before = pl.col("least").cum_min().shift(1)
    least = least.with_columns(front=before.is_null() | (pl.col("least") < before))
    joined = points.join(least, on="x", how="left", maintain_order="left")
    return (joined["front"] & (joined["y"] == joined["least"])).alias("front")


MOST_BINS: Final = 200
MOST_SLOPES: Final = 6  # series whose slopes are given
_AGGREGATED: Final = ("x", "y", "low", "high", "n")


def lines(prepared: Prepared) -> Chart:
    """The aggregate of y over x, a line for each hue and style."""
    request = prepared.request
    x = prepared.place("x", "x" in request.log)
    return _aggregated(prepared, x)


def categories(prepared: Prepared) -> Chart:
    """The aggregate of y for each value of x, a bar for each hue."""
    if "x" in prepared.request.log:
        raise ChartError("the x axis of categories can't be logarithmic")
    return _aggregated(prepared, prepared.category("x"))


def _no_point(point: Aggregate) -> str:
    """Why there is no point at all."""
    if point == "std":
        return "the std of one value each is nothing: there are no repeats"
    return f"the {point} is beyond the numbers that floats hold"


def _aggregated(prepared: Prepared, x: Axis) -> Chart:
    request = prepared.request
    point, error = request.aggregate, request.error
    counted = point == "count"
    y = prepared.number("y", "y" in request.log and not counted)
    prepared.require()
    groups = _Groups(prepared)
    keys = [*groups.keys, "x"]
    found = aggregate(prepared.rows, keys, point, error).sort(keys, maintain_order=True)
    if not found.height:
        raise ChartError(_no_point(point))
    if "y" in request.log:
        found = found.filter(pl.col("y") > 0)
    if y.kind in ("time", "clock") and point in ("sum", "product", "std"):
        raise ChartError(f"there is no {point} of times; {prepared.columns['y']} holds them")
    kind: Any = "number" if counted else y.kind
    y_label = y.label if request.labels.get("y") or point == "mean" else f"{point} of {y.label}"
    y = Axis(y_label, kind, log="y" in request.log, range=prepared.range("y", "y" in request.log), whole=counted)
    series = groups.split(found, _AGGREGATED)
    table = groups.named(found.with_columns(_shown(found[c], y) for c in ("y", "low", "high")), x, _AGGREGATED)
    has_error = found["low"].count() > 0
    return Chart(
        request.kind,
        x,
        y,
        series,
        table,
        title=request.labels.get("title", ""),
        legend=groups.legend,
        caption=_caption(prepared, found["n"], describe(point, error) if has_error else ""),
        notes=(*prepared.notes(), *_of_bars(request, y), *_slopes(x, y, series)),
        error_style=request.error_style,
    )


def _of_bars(request: Request, y: Axis) -> tuple[str, ...]:
    """That lengths don't compare, where bars are cut."""
    if request.kind != "categories" or y.range is None or y.log or y.range[0] <= 0 <= y.range[1]:
        return ()
    return (f"the bars begin at {short(y.range[0] if y.range[0] > 0 else y.range[1])}, not at 0",)


def _slopes(x: Axis, y: Axis, series: Sequence[Series]) -> tuple[str, ...]:
    """How steep the series are where both axes are logarithmic: the powers of x that y grows by."""
    if not (x.log and y.log):
        return ()
    found = [(one.name, slope(one.points["x"], one.points["y"])) for one in series[:MOST_SLOPES]]
    said = [(f"{name}: " if name else "") + _slope(*steep) for name, steep in found if steep is not None]
    more = "; ..." if len(series) > MOST_SLOPES else ""
    return (f"slope (95 % interval): {'; '.join(said)}{more}",) if said else ()


def _slope(steep: float, half: float | None) -> str:
    return interval(steep, half) if half else short(steep)


def _caption(prepared: Prepared, n: pl.Series, error: str) -> str:
    """What a point is, in one line."""
    low, high = int(n.min() or 0), int(n.max() or 0)  # type: ignore[arg-type]
    if high <= 1 and prepared.request.aggregate != "count":
        return ""
    count = f"{low}" if low == high else f"{low} to {high}"
    what = "band" if prepared.request.error_style == "band" and prepared.request.kind != "categories" else "bars"
    return f"{prepared.request.aggregate}, n = {count}" + (f"; {what}: {error}" if error else "")


class _Groups:
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
        self.legend = prepared.request.labels.get("legend", ", ".join(own)) if own else ""

    def split(self, found: pl.DataFrame, columns: Sequence[str]) -> tuple[Series, ...]:
        if not self.keys:
            return (Series("", found.select(columns)),)
        return tuple(self._series(found, columns))

    def _series(self, found: pl.DataFrame, columns: Sequence[str]) -> Iterator[Series]:
        for _, part in found.sort(self.keys, maintain_order=True).group_by(self.keys, maintain_order=True):
            codes = {key: int(part[key][0]) for key in self.keys}
            name = ", ".join(self.names[key][code] for key, code in codes.items())
            color = codes.get("hue", 0)
            yield Series(name, part.select(columns), color, codes.get("style", color))

    def named(self, found: pl.DataFrame, x: Axis | None, columns: Sequence[str]) -> pl.DataFrame:
        """The table to read: names instead of codes, and columns called as they are."""
        table = [pl.Series(key, _taken(self.names[key], found[key])) for key in self.keys]
        table += [_shown_x(found["x"], x) if c == "x" and x is not None else found[c] for c in columns]
        return _renamed(self.prepared, table)


def _looks(prepared: Prepared) -> list[Role]:
    looks: tuple[Role, ...] = ("hue", "style")
    return [role for role in looks if role in prepared.columns]


def _taken(names: Sequence[str], codes: pl.Series) -> list[str]:
    return [names[int(code)] for code in codes]


def _shown_x(values: pl.Series, axis: Axis) -> pl.Series:
    if axis.kind == "category":
        return pl.Series(values.name, _taken(axis.categories, values))
    if axis.kind != "number":
        return _shown(values, axis)
    whole = values.cast(pl.Int64, strict=False)
    return whole if values.len() and (whole.cast(pl.Float64) == values).all() else values


def _shown(values: pl.Series, axis: Axis) -> pl.Series:
    """Seconds as the times or durations that they were; numbers stay."""
    if axis.kind == "time":
        return (values * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    if axis.kind == "clock":
        return (values * 1e9).round().cast(pl.Int64).cast(pl.Time)
    return (values * 1e6).round().cast(pl.Int64).cast(pl.Duration("us")) if axis.kind == "duration" else values


def _renamed(prepared: Prepared, columns: list[pl.Series]) -> pl.DataFrame:
    """Columns under the names that people know; of equal names the first keeps it."""
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


def heatmap(prepared: Prepared) -> Chart:
    """The aggregate of z in a cell for each pair of x and y."""
    request = prepared.request
    if request.log:
        raise ChartError("the axes of a heatmap are categories: they can't be logarithmic")
    z = prepared.number("z")
    prepared.require()
    x, y = prepared.category("x"), prepared.category("y")
    found = aggregate(prepared.rows.rename({"y": "row", "z": "y"}), ["row", "x"], request.aggregate, "none")
    found = found.rename({"y": "z", "row": "y"}).sort("y", "x")
    if not found.height:
        raise ChartError(_no_point(request.aggregate))
    table = [
        pl.Series("y", _taken(y.categories, found["y"])),
        pl.Series("x", _taken(x.categories, found["x"])),
        *found.select("z", "n"),
    ]
    label = z.label if request.labels.get("z") or request.aggregate == "mean" else f"{request.aggregate} of {z.label}"
    low, high = z.range or (float(found["z"].min()), float(found["z"].max()))  # type: ignore[arg-type]
    return Chart(
        "heatmap",
        x,
        y,
        (Series("", found.select("x", "y", "z")),),
        _renamed(prepared, table),
        z=Axis(label, z.kind, range=(low, high)),
        title=request.labels.get("title", ""),
        caption=_caption(prepared, found["n"], ""),
        notes=prepared.notes(),
        annotate=request.annotate,
        number_format=request.number_format,
    )


def scatter(prepared: Prepared) -> Chart:
    """Every row as a point."""
    request = prepared.request
    x = prepared.place("x", "x" in request.log)
    y = prepared.place("y", "y" in request.log)
    prepared.require()
    groups = _Groups(prepared)
    table = groups.named(prepared.rows.with_columns(_shown(prepared.rows["y"], y)), x, ["x", "y"])
    if y.kind == "category":
        name = table.columns[-1]
        table = table.with_columns(_shown_x(prepared.rows["y"], y).alias(name))
    series = groups.split(prepared.rows, ("x", "y"))
    return Chart(
        "scatter",
        x,
        y,
        series,
        table,
        title=request.labels.get("title", ""),
        legend=groups.legend,
        notes=(*prepared.notes(), *_slopes(x, y, series)),
    )


def hist(prepared: Prepared) -> Chart:
    """How many rows have a value in each bin; all hues have the same bins."""
    request = prepared.request
    log = "x" in request.log
    x = prepared.number("x", log)
    if x.range is not None:
        prepared.drop(prepared.rows["x"].is_between(*x.range), f"{prepared.columns['x']} is outside of the range")
    prepared.require()
    groups = _Groups(prepared)
    values = prepared.rows["x"].to_numpy()
    edges = _edges(np.log10(values) if log else values, request.bins)
    if log:
        edges = 10**edges
        edges[0], edges[-1] = min(edges[0], values.min()), max(edges[-1], values.max())
    parts = []
    for key, part in prepared.rows.group_by(groups.keys, maintain_order=True) if groups.keys else [((), prepared.rows)]:
        counts, _ = np.histogram(part["x"].to_numpy(), edges)
        parts.append(
            pl.DataFrame(
                {
                    **{
                        name: pl.Series([code] * len(counts), dtype=pl.Float64)
                        for name, code in zip(groups.keys, key, strict=True)
                    },
                    "left": edges[:-1],
                    "right": edges[1:],
                    "y": counts.astype(float),
                }
            )
        )
    found = pl.concat(parts).sort([*groups.keys, "left"])
    counted = found.with_columns(
        pl.col("y").cast(pl.Int64).alias("count"), *(_shown(found[name], x) for name in ("left", "right"))
    )
    return Chart(
        "hist",
        x,
        Axis(
            request.labels.get("y", "count"),
            log="y" in request.log,
            range=prepared.range("y", "y" in request.log),
            whole=True,
        ),
        groups.split(found, ("left", "right", "y")),
        groups.named(counted, None, ["left", "right", "count"]),
        title=request.labels.get("title", ""),
        legend=groups.legend,
        caption=f"{prepared.rows.height:,} value{'' if prepared.rows.height == 1 else 's'}",
        notes=prepared.notes(),
    )


def _edges(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], bins: int | None
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):  # ends near the largest float
        return np.linspace(low / 4, high / 4, (bins or MOST_BINS) + 1).clip(low / 4, high / 4) * 4
    if low == high and low + 0.5 == low:  # half a unit, which bins have beside them else, is nothing here
        return np.array(sorted((low, low * 0.9)))
    if bins is not None:
        return np.histogram_bin_edges(values, bins)
    if low == high:
        return np.histogram_bin_edges(values, 1)
    edges = np.histogram_bin_edges(values, "auto") if np.ptp(values) < 1e300 else np.empty(0)
    return edges if 2 <= len(edges) <= MOST_BINS + 1 else np.histogram_bin_edges(values, MOST_BINS)


def box(prepared: Prepared) -> Chart:
    """Quartiles, whiskers and outliers of y for each value of x, a box for each hue."""
    request = prepared.request
    if "x" in request.log:
        raise ChartError("the x axis of boxes can't be logarithmic")
    if "x" not in prepared.columns:
        prepared.columns = {**prepared.columns, "x": "all"}
        prepared.rows = prepared.rows.with_columns(pl.lit("all").alias("x"))
    y = prepared.number("y", "y" in request.log)
    x = prepared.category("x")
    prepared.require()
    groups = _Groups(prepared)
    keys = [*groups.keys, "x"]
    found = boxes(prepared.rows, keys).sort(keys, maintain_order=True)
    numbers = ["x", "low", "q1", "median", "q3", "high", "n"]
    return Chart(
        "box",
        x,
        y,
        groups.split(found, (*numbers, "outliers")),
        groups.named(
            found.with_columns(pl.col("outliers").list.len(), *(_shown(found[name], y) for name in numbers[1:-1])),
            x,
            [*numbers, "outliers"],
        ),
        title=request.labels.get("title", ""),
        legend=groups.legend,
        caption="box: quartiles; whiskers: within 1.5 times the box's height of it",
        notes=prepared.notes(),
    )


MAKERS: Final[dict[Kind, Callable[[Prepared], Chart]]] = {
    "lines": lines,
    "steps": lines,
    "categories": categories,
    "heatmap": heatmap,
    "scatter": scatter,
    "hist": hist,
    "box": box,
    "pareto": pareto,
}
