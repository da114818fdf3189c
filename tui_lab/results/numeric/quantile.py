"""Quantiles of few values, without numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of ascending values by linear interpolation at share * (n - 1): type 7 of Hyndman and Fan
    (The American Statistician 50, 1996), the default of numpy, R and DuckDB's quantile_cont.

    numpy's takes a hundred times as long for a few values, and both it and `statistics.quantiles` overflow between
    the largest floats.
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    part = place - below
    if part == 0 or ordered[below] == ordered[above]:
        return float(ordered[below])
    return ordered[below] * (1 - part) + ordered[above] * part
