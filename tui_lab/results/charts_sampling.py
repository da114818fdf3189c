"""Fewer points that look the same: what a drawing of a given width can show at all."""

from __future__ import annotations

from typing import Final

import polars as pl

_EXTREMES: Final = 4


def thin_line(points: pl.DataFrame, width: int) -> pl.DataFrame:
    """Points of a line (`x`, `y` and more, ascending in x) of which each of `width` equal parts of x keeps
    its first, last, lowest and highest; errors are widened to those of the points that are left out."""
    if points.height <= _EXTREMES * width or width < 1:
        return points
    part = _parts(points["x"], width)
    rows = points.with_columns(part.alias("\0part")).with_row_index("\0row")
    y = pl.col("y")
    kept = rows.filter(
        (pl.col("\0row") == pl.col("\0row").min().over("\0part"))
        | (pl.col("\0row") == pl.col("\0row").max().over("\0part"))
        | (pl.col("\0row") == pl.col("\0row").get(y.arg_min()).over("\0part"))
        | (pl.col("\0row") == pl.col("\0row").get(y.arg_max()).over("\0part"))
    )
    if "low" in points.columns:
        wide = rows.group_by("\0part").agg(pl.col("low").min(), pl.col("high").max())
        kept = kept.drop("low", "high").join(wide, on="\0part", how="left", maintain_order="left")
    return kept.select(points.columns)


def _parts(x: pl.Series, width: int) -> pl.Series:
    low, high = float(x.min()), float(x.max())  # type: ignore[arg-type]
    return ((x - low) / (high - low) * width).floor().clip(0, width - 1).cast(pl.Int32)


def distinct_places(places: list[tuple[float, float]], columns: int, rows: int) -> list[tuple[float, float]]:
    """Of the places in cells one for each of `columns` x `rows` parts of a cell."""
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for x, y in places:
        found.setdefault((int(x * columns // 1), int(y * rows // 1)), (x, y))
    return list(found.values())
