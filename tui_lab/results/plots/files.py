"""A chart as a picture: PNG, SVG, PDF, HTML and what else matplotlib writes, in seaborn's looks.

Both are imported here alone, and only to draw: they are the extra `tui-lab[draw]`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tui_lab.results.charts import Axis, Chart, ChartError, Kind, Series
from tui_lab.results.plots.page import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE: Final = (10.0, 7.0)
"""Inches."""
DPI: Final = 120
ENDINGS: Final = frozenset((".png", ".svg", ".pdf", ".eps", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".html"))
_STYLES: Final = ("-", "--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)))
_MARKERS: Final = "os^DvPX*"
_FEW: Final = 40
"""Points of a line that are marked."""


def write(chart: Chart, file: Path, size: tuple[float, float] = SIZE) -> None:
    """Draw a chart into a file of the kind that its ending says; size in inches. Raises ChartError."""
    if file.suffix.lower() not in ENDINGS:
        known = " ".join(sorted(ENDINGS))
        raise ChartError(f"{file}: its ending names no kind of picture; there are {known}")
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
            _DRAWERS[chart.kind](chart, axes)
            _frame(chart, axes, size)
            if chart.caption:
                figure.supxlabel(_plain(chart.caption), fontsize="x-small", color="0.35")
            format = file.suffix[1:].lower()
            figure.savefig(buffer, format="svg" if format == "html" else format, dpi=DPI)
        except (ValueError, OverflowError, MemoryError) as error:
            raise ChartError(f"{file}: {error}") from None
    content = buffer.getvalue()
    if format == "html":
        content = page(chart, content.decode()).encode()
    partial = file.with_name(f".{file.name}.partial")
    try:
        try:
            partial.write_bytes(content)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ChartError(f"{file}: {error.strerror or error}") from error


def _frame(chart: Chart, axes: Axes, size: tuple[float, float]) -> None:
    """Labels, scales and legend."""
    axes.set_title(_plain(chart.title))
    axes.set_xlabel(_plain(chart.x.label))
    axes.set_ylabel(_plain(chart.y.label))
    if chart.kind != "heatmap":
        if chart.x.log:
            axes.set_xscale("log")
        if chart.y.log:
            axes.set_yscale("log")
        _name_categories(chart.x, axes, size[0])
    if chart.kind != "heatmap" and chart.legend:
        handles = axes.get_legend_handles_labels()
        columns = 1 + len(chart.series) // 24
        if chart.kind in ("categories", "box") or columns > 1:  # beside what fills the whole field
            axes.figure.legend(
                *handles,
                title=_plain(chart.legend),
                fontsize="small",
                ncols=columns,
                loc="outside right upper",
            )
        else:
            axes.legend(*handles, title=_plain(chart.legend), fontsize="small")


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


def _places(axis: Axis, values: Any) -> Any:
    seconds = values.to_numpy()
    return (seconds * 1e6).astype("datetime64[us]") if axis.kind == "time" else seconds


def _palette(count: int) -> Any:
    import seaborn

    return seaborn.color_palette("deep" if count <= 10 else "husl", max(count, 1))


def _colors(chart: Chart) -> Any:
    return _palette(1 + max((series.color for series in chart.series), default=0))


def _lines(chart: Chart, axes: Axes) -> None:
    palette = _colors(chart)
    for series in chart.series:
        points, color = series.points, palette[series.color]
        styled = series.style if series.style != series.color else 0
        x, y = _places(chart.x, points["x"]), points["y"].to_numpy()
        low, high = (points[name].to_numpy() for name in ("low", "high"))
        marker = _MARKERS[series.style % len(_MARKERS)] if len(x) <= _FEW else None
        axes.plot(
            x,
            y,
            color=color,
            linestyle=_STYLES[styled % len(_STYLES)],
            marker=marker,
            ms=5,
            label=_name(series),
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


def _categories(chart: Chart, axes: Axes) -> None:
    palette, wide = _colors(chart), 0.8 / len(chart.series)
    for series in chart.series:
        points = series.points
        x = points["x"].to_numpy() + wide * (series.color - (len(chart.series) - 1) / 2)
        y, low, high = (points[name].to_numpy() for name in ("y", "low", "high"))
        axes.bar(x, y, wide, color=palette[series.color], label=_name(series))
        if np.isfinite(low).any():
            axes.errorbar(x, y, yerr=_error(y, low, high), fmt="none", ecolor="0.25", capsize=3)
    axes.grid(False, axis="x")


def _heatmap(chart: Chart, axes: Axes) -> None:
    import seaborn

    assert chart.z is not None and chart.z.range is not None
    cells = np.full((len(chart.y.categories), len(chart.x.categories)), np.nan)
    for x, y, z in chart.series[0].points.iter_rows():
        cells[int(y), int(x)] = z
    seaborn.heatmap(
        cells,
        ax=axes,
        annot=chart.annotate,
        fmt=chart.number_format,
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
    longest = max((len(format(z, chart.number_format)) for z in chart.series[0].points["z"]), default=1)
    cell = axes.figure.get_figure(root=True).get_figwidth() * 72 * 0.75 / len(chart.x.categories)
    return float(min(10.0, cell / (0.65 * max(longest, 1))))


def _scatter(chart: Chart, axes: Axes) -> None:
    palette = _colors(chart)
    for series in chart.series:
        x, y = _places(chart.x, series.points["x"]), _places(chart.y, series.points["y"])
        many = len(x) > 5000
        marker = _MARKERS[series.style % len(_MARKERS)]
        alpha, area = (0.4, 6) if many else (0.8, 28)
        color = [palette[series.color]]
        axes.scatter(x, y, s=area, c=color, marker=marker, alpha=alpha, lw=0, rasterized=many, label=_name(series))
    if chart.y.categories:
        axes.set_yticks(range(len(chart.y.categories)), [_plain(name) for name in chart.y.categories])
        axes.invert_yaxis()


def _hist(chart: Chart, axes: Axes) -> None:
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


def _box(chart: Chart, axes: Axes) -> None:
    palette, wide = _colors(chart), 0.8 / len(chart.series)
    for series in chart.series:
        rows = series.points.rows(named=True)
        boxes: Sequence[dict[str, Any]] = [
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


def _pareto(chart: Chart, axes: Axes) -> None:
    palette = _palette(2)
    front, rest = chart.series
    axes.scatter(rest.points["x"], rest.points["y"], s=20, color="0.6", label=rest.name)

    axes.plot(front.points["x"], front.points["y"], color=palette[0], marker="o", label=front.name)


_DRAWERS: Final[dict[Kind, Callable[[Chart, Axes], None]]] = {
    "lines": _lines,
    "steps": _lines,
    "categories": _categories,
    "heatmap": _heatmap,
    "scatter": _scatter,
    "hist": _hist,
    "box": _box,
    "pareto": _pareto,
}
