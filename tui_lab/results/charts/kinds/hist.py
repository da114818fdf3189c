"""Histograms."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import Groups, shown
from tui_lab.results.charts.model import Axis, Chart, ChartKind
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import marks

MOST_BINS: Final = 200


def make(prepared: Prepared) -> Chart:
    """How many rows have a value in each bin; all hues have the same bins."""
    request = prepared.request
    log = "x" in prepared.log
    x = prepared.number("x", log)
    if x.range is not None:
        prepared.drop(prepared.rows["x"].is_between(*x.range), f"{prepared.columns['x']} is outside of the range")
    prepared.require()
    groups = Groups(prepared)
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
        pl.col("y").cast(pl.Int64).alias("count"), *(shown(found[name], x) for name in ("left", "right"))
    )
    return Chart(
        KIND,
        x,
        Axis(
            request.labels.get("y", "count"),
            log="y" in prepared.log,
            range=prepared.range("y", "y" in prepared.log),
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


KIND: Final = ChartKind(
    name="hist",
    about=OWN["hist"],
    roles=("x", "hue"),
    make=make,
    draw=marks.hist,
    picture=files.hist,
    column=natural.of_metrics,
    ranges=False,
    bars=True,
    called="histogram",
)
