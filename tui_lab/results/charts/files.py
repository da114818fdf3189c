"""A chart as a picture: PNG, SVG, PDF, HTML and what else matplotlib writes, in seaborn's looks.

Both are imported here alone, and only to draw: they are the extra `tui-lab[draw]`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from tui_lab.experiment.data_types import Row
from tui_lab.results.charts.model import Axis, Chart, ChartError, Series, stretches
from tui_lab.results.charts.terminal import marks
from tui_lab.results.charts.ticks import Scale, texts, ticks, unsaid
from tui_lab.results.plain import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# --- A chart as a page of its own: the picture as SVG, what it shows in words, and the data as a table
MOST_ROWS: Final = 1000
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:1rem auto;padding:0 1rem;color-scheme:light dark}"
    "svg{width:100%;height:auto;background:#fff}"
    "table{border-collapse:collapse;font-size:.85rem}"
    "th,td{padding:.1rem .6rem;text-align:right;border-bottom:1px solid #8884}"
)


def page(chart: Chart, svg: str) -> str:
    """HTML that needs no other file."""
    title = chart.title or f"{chart.y.label} over {chart.x.label}"
    picture = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
    rows = chart.table.head(MOST_ROWS)
    head = "".join(f"<th>{escape(name)}</th>" for name in rows.columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{'' if cell is None else escape(shown(cell))}</td>" for cell in row) + "</tr>"
        for row in rows.iter_rows()
    )
    more = chart.table.height - rows.height
    notes = "".join(f"<p>{escape(text)}</p>\n" for text in [*chart.notes, *([f"{more:,} more rows"] if more else [])])
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        f"<figure>{picture}</figure>\n"
        f"<details><summary>Data</summary><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n"
        f"{notes}</details>\n</body></html>\n"
    )


SIZE: Final = (10.0, 7.0)
"""Inches."""
DPI: Final = 120
ENDINGS: Final = frozenset((".png", ".svg", ".pdf", ".eps", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".html"))
_STYLES: Final = ("-", "--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)))
_MARKERS: Final = "os^DvPX*"
_LINES: Final = 40
"""Of a terminal that would show as much of the axes."""
_NUMBERED: Final = 120
"""Cells of a heatmap up to which they have numbers by themselves."""
_PLACES: Final = 300
"""Along each axis, at which a surface is drawn."""
_SHADES: Final = 33
"""Of a surface, about."""
_FEW: Final = 40
"""Points of a line that are marked."""


def write(chart: Chart, file: Path, size: tuple[float, float] = SIZE) -> None:
    """Draw a chart into a file of the kind that its ending says; size in inches. Raises ChartError."""
    if file.suffix.lower() not in ENDINGS:
        known = " ".join(sorted(ENDINGS))
        raise ChartError(f"{file}: its ending names no kind of picture; there are {known}")
    try:
        content = picture(chart, file.suffix[1:].lower(), size)
    except ValueError as error:
        raise ChartError(f"{file}: {error}") from None
    partial = file.with_name(f".{file.name}.partial")
    try:
        try:
            partial.write_bytes(content)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ChartError(f"{file}: {error.strerror or error}") from error


def picture(chart: Chart, format: str, size: tuple[float, float] = SIZE) -> bytes:
    """Return a chart as a picture; size in inches. Raises ChartError without matplotlib, ValueError where it can't be
    drawn."""
    try:
        import matplotlib
        import seaborn
    except ImportError:
        raise ChartError("pictures need matplotlib and seaborn: pip install 'tui-lab[draw]'") from None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    look = {
        **seaborn.axes_style("whitegrid"),
        **seaborn.plotting_context("notebook"),
        "svg.hashsalt": "tui-lab",
    }
    buffer = io.BytesIO()
    with matplotlib.rc_context(look), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        try:
            plan = marks.plan(chart, _LINES)
            chart.kind.picture(_within_reach(chart, plan), axes)
            _frame(chart, plan, axes, size)
            if chart.caption:
                figure.supxlabel(_plain(chart.caption), fontsize="x-small", color="0.35")
            figure.savefig(buffer, format="svg" if format == "html" else format, dpi=DPI)
        except (OverflowError, MemoryError) as error:
            raise ValueError(str(error)) from None
    content = buffer.getvalue()
    return page(chart, content.decode()).encode() if format == "html" else content


def _within_reach(chart: Chart, plan: marks.Plan) -> Chart:
    """With small numbers instead of values, on axes whose numbers matplotlib can't compute with."""
    names: list[str] = []
    if _is_beyond(plan.x):
        names += ["x", "left", "right"]
        chart = replace(chart, x=replace(chart.x, log=False))
    if _is_beyond(plan.y):
        names += ["low", "q1", "median", "q3", "high", "outliers", *(["y"] if chart.y.kind != "category" else [])]
        chart = replace(chart, y=replace(chart.y, log=False))
    series = [replace(one, points=_placed(one.points, names, plan)) for one in chart.series]
    return replace(chart, series=tuple(series)) if names else chart


def _placed(points: pl.DataFrame, names: Sequence[str], plan: marks.Plan) -> pl.DataFrame:
    columns = []
    for name in names:
        on = plan.x if name in ("x", "left", "right") else plan.y
        if name == "outliers" and name in points.columns:
            outside = [[_part(on, value) for value in row] for row in points[name].to_list()]
            columns.append(pl.Series(name, outside, dtype=pl.List(pl.Float64)))
        elif name in points.columns:
            columns.append(
                pl.Series(name, [None if v is None else _part(on, v) for v in points[name]], dtype=pl.Float64)
            )
    return points.with_columns(columns)


def _part(on: Scale, value: float) -> float:
    """A value in lengths of the axis, from 0 or from the end of a logarithmic axis."""
    return on(value) - (0.0 if on.log else on(0.0))


def _is_beyond(on: Scale) -> bool:
    if on.log:
        return on.low < 1e-290 or on.high > 1e290
    return max(abs(on.low), abs(on.high)) > 1e300 or not on.high - on.low > 1e-300


def _frame(chart: Chart, plan: marks.Plan, axes: Axes, size: tuple[float, float]) -> None:
    """Labels, scales, marks and legend."""
    axes.set_title(_plain(chart.title))
    for axis, on, which, most in ((chart.x, plan.x, "x", size[0]), (chart.y, plan.y, "y", size[1])):
        aside = unsaid(axis, on, int(most))
        getattr(axes, f"set_{which}label")(_plain(f"{axis.label} ({aside})" if aside else axis.label))
        if axis.kind != "category":
            _mark(axis, on, axes, which, max(2, int(most)))
    if chart.z is None or chart.fitted is not None:
        _name_categories(chart.x, axes, size[0])
        if chart.legend or chart.fitted is not None:
            _add_legend(chart, axes, size)


def _mark(axis: Axis, on: Scale, axes: Axes, which: str, most: int) -> None:
    """The scale and the marks of an axis of numbers or times."""
    limits = getattr(axes, f"set_{which}lim")
    if _is_beyond(on):
        low, high = _part(on, on.low), _part(on, on.high)
        limits(low - 0.02, high + 0.02)
        found = [(_part(on, value), text) for value, text in ticks(axis, on, most)]
    else:
        if axis.log:
            getattr(axes, f"set_{which}scale")("log")
        if axis.range is not None:
            limits(*axis.range)
        if axis.kind == "number" or axis.log:
            return
        low, high = getattr(axes, f"get_{which}lim")()
        limits(low, high)
        found = ticks(axis, Scale(low, high), most)
    getattr(axes, f"set_{which}ticks")([place for place, _ in found], [text for _, text in found])


def _add_legend(chart: Chart, axes: Axes, size: tuple[float, float]) -> None:
    """Beside the field, where it covers nothing; above it where names are long."""
    names = [series.name for series in chart.series]
    above = max(map(len, names)) > 3 * size[0]
    columns = 1 + len(names) // int(4 * size[1])
    axes.figure.legend(
        *axes.get_legend_handles_labels(),
        title=_plain(chart.legend),
        fontsize="small",
        ncols=1 if above else columns,
        loc="outside upper center" if above else "outside right upper",
    )


def _name_categories(axis: Axis, axes: Axes, width: float) -> None:
    names = axis.categories
    if not names:
        return
    every = -(-len(names) // int(width * 8))
    shown = range(0, len(names), every)
    axes.set_xticks(list(shown), [_plain(names[index]) for index in shown])
    axes.set_xlim(-0.6, len(names) - 0.4)
    if sum(len(names[index]) + 2 for index in shown) > width * 9:
        axes.tick_params(axis="x", labelrotation=45)


def _plain(text: str) -> str:
    """Without a meaning to matplotlib: `$` would begin a formula."""
    return text.replace("$", r"\$")


def _palette(count: int) -> Any:
    import seaborn

    return seaborn.color_palette("deep" if count <= 10 else "husl", max(count, 1))


def _colors(chart: Chart) -> Any:
    return _palette(1 + max((series.color for series in chart.series), default=0))


def lines(chart: Chart, axes: Axes) -> None:
    """Draw a line for each series, with its errors."""
    palette = _colors(chart)
    for series in chart.series:
        points, color = series.points, palette[series.color]
        styled = series.style if series.style != series.color else 0
        x, y = points["x"].to_numpy(), points["y"].to_numpy()
        low, high = (points[name].to_numpy() for name in ("low", "high"))
        # NaN lifts the pen.
        parts = [part.select("x", "y").to_numpy() for part in stretches(points, chart.gap)]
        drawn = np.concatenate([np.vstack([part, [[np.nan, np.nan]]]) for part in parts])[:-1]
        marker = _MARKERS[series.style % len(_MARKERS)] if len(x) <= _FEW and not series.faint else None
        axes.plot(
            *drawn.T,
            color=color,
            linestyle=_STYLES[styled % len(_STYLES)],
            marker=marker,
            ms=5,
            alpha=0.35 if series.faint else 1.0,
            label=None if series.faint else _name(series),
        )
        if np.isfinite(low).any():
            if chart.error_style == "band" and len(x) > 1:
                axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
            else:
                axes.errorbar(x, y, yerr=_error(y, low, high), fmt="none", ecolor=color, capsize=3)


def _name(series: Series) -> str:
    """Names that begin with an underscore would be hidden from the legend."""
    return _plain(f" {series.name}" if series.name.startswith("_") else series.name)


def _error(y: Any, low: Any, high: Any) -> Any:
    """Distances; an interval of resamples may lie beside its point."""
    return np.vstack([np.maximum(y - low, 0), np.maximum(high - y, 0)])


def area(chart: Chart, axes: Axes) -> None:
    """Draw the bands upon each other."""
    palette = _colors(chart)
    for series in chart.series:
        x, low, high = (series.points[name].to_numpy() for name in ("x", "low", "high"))
        axes.fill_between(x, low, high, color=palette[series.color], alpha=0.8, linewidth=0, label=_name(series))
    axes.margins(x=0)
    if chart.y.range is None:
        axes.set_ylim(bottom=0)


def categories(chart: Chart, axes: Axes) -> None:
    """Draw a bar for each category and series, with its error."""
    palette, wide = _colors(chart), 0.8 / len(chart.series)
    for series in chart.series:
        points = series.points
        x = points["x"].to_numpy() + wide * (series.color - (len(chart.series) - 1) / 2)
        y, low, high = (points[name].to_numpy() for name in ("y", "low", "high"))
        axes.bar(x, y, wide, color=palette[series.color], label=_name(series))
        if np.isfinite(low).any():
            axes.errorbar(x, y, yerr=_error(y, low, high), fmt="none", ecolor="0.25", capsize=3)
    axes.grid(False, axis="x")


def heatmap(chart: Chart, axes: Axes) -> None:
    """Draw a coloured cell for each pair of categories."""
    import seaborn

    assert chart.z is not None and chart.z.range is not None
    cells = np.full((len(chart.y.categories), len(chart.x.categories)), np.nan)
    texts = np.full(cells.shape, "", dtype=object)
    for (x, y, z), text in zip(chart.series[0].points.iter_rows(), chart.cell_texts(), strict=True):
        cells[int(y), int(x)], texts[int(y), int(x)] = z, text
    seaborn.heatmap(
        cells,
        ax=axes,
        annot=texts if chart.annotate or (chart.annotate is None and cells.size <= _NUMBERED) else None,
        fmt="",
        annot_kws={"size": _annotation_size(chart, axes)},
        vmin=chart.z.range[0],
        vmax=chart.z.range[1],
        linewidths=0.5 if cells.size <= 2500 else 0,
        xticklabels=[_plain(name) for name in chart.x.categories],
        yticklabels=[_plain(name) for name in chart.y.categories],
        cbar_kws={"label": _plain(chart.z.label)},
    )
    axes.tick_params(axis="y", labelrotation=0)


def _annotation_size(chart: Chart, axes: Axes) -> float:
    """Points of type with which the longest number fits its cell."""
    longest = max(map(len, chart.cell_texts()), default=1)
    cell = axes.figure.get_figure(root=True).get_figwidth() * 72 * 0.75 / len(chart.x.categories)
    return float(min(10.0, cell / (0.65 * max(longest, 1))))


def surface(chart: Chart, axes: Axes) -> None:
    """Draw the surface in shades with lines of equal values, and the points in the colours of their own values."""
    assert chart.z is not None and chart.z.range is not None and chart.fitted is not None
    low, high = chart.z.range
    plan = marks.plan(chart, _LINES)
    parts = np.linspace(0, 1, _PLACES)
    xs, ys = (np.array([on.value(part) for part in parts]) for on in (plan.x, plan.y))
    values = np.ma.masked_invalid(chart.fitted(xs[None, :], ys[:, None]))
    if low < high:
        shades = axes.contourf(xs, ys, values, levels=np.linspace(low, high, _SHADES), cmap="viridis", extend="both")
        levels = [value for value, _ in ticks(chart.z, Scale(low, high), 8) if low < value < high]
        lines = axes.contour(xs, ys, values, levels=levels, colors="black", linewidths=0.6, alpha=0.6)
        named = dict(ticks(chart.z, Scale(low, high), 8))
        axes.clabel(lines, fmt=lambda level: named.get(level, f"{level:g}"), fontsize="x-small")
        found, shown = zip(*ticks(chart.z, Scale(low, high), 8), strict=True)
        bar = axes.figure.colorbar(shades, ax=axes, ticks=found, label=_plain(chart.z.label))
        bar.ax.set_yticklabels(shown)
    for series, (marker, area) in zip(chart.series, (("o", 30), ("D", 70), ("*", 160)), strict=True):
        points = series.points
        axes.scatter(
            points["x"],
            points["y"],
            s=area,
            c=points["z"],
            marker=marker,
            cmap="viridis",
            vmin=low,
            vmax=high,
            edgecolors="white" if series is chart.series[0] else "red",
            clip_on=False,
            zorder=3,
            rasterized=points.height > 5000,
            label=_name(series),
        )
    axes.grid(False)


def scatter(chart: Chart, axes: Axes) -> None:
    """Draw each row as a point."""
    palette = _colors(chart)
    for series in chart.series:
        x, y = series.points["x"], series.points["y"]
        many = len(x) > 5000
        marker = _MARKERS[series.style % len(_MARKERS)]
        alpha, area = (0.4, 6) if many else (0.8, 28)
        color = [palette[series.color]]
        axes.scatter(x, y, s=area, c=color, marker=marker, alpha=alpha, lw=0, rasterized=many, label=_name(series))
    if chart.y.categories:
        axes.set_yticks(range(len(chart.y.categories)), [_plain(name) for name in chart.y.categories])
        axes.invert_yaxis()


def hist(chart: Chart, axes: Axes) -> None:
    """Draw how many values are in each bin."""
    palette = _colors(chart)
    for series in chart.series:
        edges = [*series.points["left"], series.points["right"][-1]]
        alone = len(chart.series) == 1
        color = palette[series.color]
        axes.stairs(
            series.points["y"].to_numpy(),
            edges,
            fill=True,
            color=color,
            alpha=0.8 if alone else 0.35,
            label=_name(series),
        )
        axes.stairs(series.points["y"].to_numpy(), edges, color=color)


def box(chart: Chart, axes: Axes) -> None:
    """Draw quartiles, whiskers and outliers."""
    palette, wide = _colors(chart), 0.8 / len(chart.series)
    for series in chart.series:
        rows = series.points.rows(named=True)
        boxes: Sequence[Row] = [
            {
                "med": row["median"],
                "q1": row["q1"],
                "q3": row["q3"],
                "whislo": row["low"],
                "whishi": row["high"],
                "fliers": row["outliers"],
            }
            for row in rows
        ]
        shift = wide * (series.color - (len(chart.series) - 1) / 2)
        drawn = axes.bxp(
            boxes,
            positions=[row["x"] + shift for row in rows],
            widths=wide * 0.9,
            patch_artist=True,
            manage_ticks=False,
            medianprops={"color": "0.15"},
            flierprops={"marker": "o", "ms": 3, "alpha": 0.6},
        )
        for patch in drawn["boxes"]:
            patch.set_facecolor(palette[series.color])
        if drawn["boxes"]:
            drawn["boxes"][0].set_label(_name(series))
    axes.grid(False, axis="x")


def pareto(chart: Chart, axes: Axes) -> None:
    """Draw the front as a line over the other settings."""
    palette = _palette(2)
    front, rest = chart.series
    axes.scatter(rest.points["x"], rest.points["y"], s=20, color="0.6", label=rest.name)

    axes.plot(front.points["x"], front.points["y"], color=palette[0], marker="o", label=front.name)


def parallel(chart: Chart, axes: Axes) -> None:
    """Draw a line for each setting through its places on the upright axes, whose ends are named."""
    import matplotlib

    assert chart.z is not None and chart.z.range is not None
    low, high = chart.z.range
    colors = matplotlib.colormaps["viridis"]
    for series in chart.series:
        rows = series.points.group_by("row").agg(pl.col("z").first(), pl.col("x", "y").sort_by("x")).sort("z", "row")
        for z, xs, ys in rows.select("z", "x", "y").iter_rows():
            part = (z / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
            axes.plot(xs, ys, color="0.8" if series.faint else colors(part), lw=1, zorder=1 if series.faint else 2)
    for at, axis in enumerate(chart.uprights):
        axes.axvline(at, color="0.3", lw=1)
        ends = texts(axis, axis.range) if axis.range is not None else ()
        places = list(zip((0.0, 1.0), ends, strict=False))
        places += [((n + 0.5) / len(axis.categories), name) for n, name in enumerate(axis.categories[:_FEW])]
        for place, text in places:
            axes.text(at + 0.02, place, _plain(text), fontsize="x-small", va="center")
    axes.set_xticks(range(len(chart.uprights)), [_plain(axis.label) for axis in chart.uprights])
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.05)
    axes.set_title(_plain(chart.title or f"{chart.z.label}, by its colour"))
