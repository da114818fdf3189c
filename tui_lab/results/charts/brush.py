"""The condition of what is brushed on parallel axes."""

from __future__ import annotations

import polars as pl

from tui_lab.results.charts.model import Chart
from tui_lab.results.sql.text import is_equal, quoted


def condition(chart: Chart) -> str:
    """Return the SQL condition that holds for what is in the brush: of numbers from the least to the greatest of them,
    of others each. Empty without a brush, or where nothing is in it."""
    points = pl.concat(series.points for series in chart.series)
    parts = []
    for at, axis in enumerate(chart.uprights):
        if axis.label not in chart.brush:
            continue
        places = points.filter(pl.col("x") == at).sort("row")["y"]
        column = chart.table.columns[at]
        values = chart.table[column].filter(places.is_between(*chart.brush[axis.label]))
        if not values.len():
            return ""
        if axis.kind == "category":
            parts.append(" OR ".join(is_equal(column, value) for value in values.unique(maintain_order=True)))
        elif values.n_unique() == 1:
            parts.append(is_equal(column, values[0]))
        else:
            parts.append(f"{quoted(column)} >= {values.min()!r} AND {quoted(column)} <= {values.max()!r}")
    return " AND ".join(f"({part})" if " OR " in part and len(parts) > 1 else part for part in parts)
