"""How much of a metric's variance each parameter explains.

Every parameter counts as a category. The variance of all values is split without rest into

    main effects    what an additive model of the parameters explains (R squared), shared out among them
    interactions    what the means of the settings explain beyond that
    repeats         what is left within settings

The additive model's share of a parameter is what it adds to R squared, averaged over all orders in which the
parameters can enter (Lindeman, Merenda and Gold 1980; Groemping, The American Statistician 61, 2007). In a
full grid with equal repeats that is eta squared of the classical analysis of variance; in a grid with holes,
where eta squared would count shared variance twice or not at all, it still adds up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tui_lab.experiment.data_types import Row
from tui_lab.results.numeric.exact import deviations
from tui_lab.results.numeric.whole_numbers import as_floats
from tui_lab.results.tables import codes

MOST_PARAMETERS: Final = 10
"""All orders are averaged by way of all subsets: 2^10 small models."""
BINS: Final = 5
FEWEST_PER_LEVEL: Final = 3
"""A number with fewer settings than this per value is grouped into BINS ranges of equal count."""


@dataclass(frozen=True)
class Importance:
    """Shares of the variance; they add up to 1."""

    parameters: dict[str, float]
    """Most important first. Parameters that always change together are one, `a = b`: nothing tells them apart."""
    interactions: float
    repeats: float
    binned: tuple[str, ...] = ()
    """Parameters whose values were grouped."""
    left_out: tuple[str, ...] = ()
    """Texts with a value of their own in nearly every setting, which explain everything and nothing."""


def importance(table: pl.DataFrame, parameters: Sequence[str], values: pl.Series) -> Importance | None:
    """Shares for the parameters of a table with a row per task, whose metric is `values` (NaN, infinities and
    nulls are left out); None where nothing varies.

    Raises ValueError for more than MOST_PARAMETERS parameters.
    """
    if len(parameters) > MOST_PARAMETERS:
        raise ValueError(f"at most {MOST_PARAMETERS} parameters are possible; choose some with --by")
    numbers = pl.Series(as_floats(values)[0], dtype=pl.Float64)
    usable = numbers.is_finite().fill_null(False)
    table, found = table.filter(usable), numbers.filter(usable).to_list()
    if len(found) < 2:
        return None
    response = np.array(deviations(found, found[0]))
    response -= math.fsum(response) / response.size
    total = math.fsum(response * response)
    if total == 0:
        return None
    cells = codes(table, parameters).to_numpy()
    levels: dict[str, NDArray[np.int64]] = {}
    binned, left_out = [], []
    same: dict[bytes, list[str]] = {}
    for name in parameters:
        coded, how = _levels(table[name], int(cells.max()) + 1)
        if how == "left out":
            left_out.append(name)
        else:
            same.setdefault(coded.tobytes(), []).append(name)
            binned += [name] if how == "binned" else []
    for coded_as, names in same.items():
        levels[" = ".join(names)] = np.frombuffer(coded_as, dtype=np.int64)
    explained = _r_squared(list(levels.values()), response, total)
    shares = _shares(len(levels), explained)
    between = _between(cells, response) / total
    additive = explained[(1 << len(levels)) - 1]
    named = sorted(zip(levels, shares, strict=True), key=lambda item: -item[1])
    return Importance(dict(named), max(0.0, between - additive), max(0.0, 1 - between), tuple(binned), tuple(left_out))


def _levels(column: pl.Series, settings: int) -> tuple[NDArray[np.int64], str]:
    coded: NDArray[np.int64] = codes(column.to_frame(), [column.name]).to_numpy()
    count = int(coded.max()) + 1
    if count <= 2 * BINS or settings >= FEWEST_PER_LEVEL * count:
        return coded, "as is"
    if not column.dtype.is_numeric():
        return coded, "left out"
    ranks = column.cast(pl.Float64).rank("min").fill_null(0)
    bins = ((ranks - 1) * BINS / len(column)).floor().clip(-1, BINS - 1)
    return bins.cast(pl.Int64).to_numpy(), "binned"


def _between(cells: NDArray[np.int64], response: NDArray[np.float64]) -> float:
    """Sum of squares between cells, of a centred response."""
    sums = np.bincount(cells, response)
    counts = np.bincount(cells)
    return math.fsum(sums[counts > 0] ** 2 / counts[counts > 0])


def _r_squared(levels: Sequence[NDArray[np.int64]], response: NDArray[np.float64], total: float) -> dict[int, float]:
    """R squared of the additive model of every subset of parameters, by the bits of its number."""
    blocks = []
    for coded in levels:
        _, place = np.unique(coded, return_inverse=True)
        blocks.append(place)
    sizes = [int(place.max()) + 1 for place in blocks]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    # The normal equations: counts of levels that meet, and sums of the response by level.
    gram = np.zeros((int(starts[-1]), int(starts[-1])))
    sums = np.zeros(int(starts[-1]))
    for i, first in enumerate(blocks):
        sums[starts[i] : starts[i + 1]] = np.bincount(first, response, sizes[i])
        for j, second in enumerate(blocks):
            met = np.bincount(first * sizes[j] + second, minlength=sizes[i] * sizes[j])
            gram[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = met.reshape(sizes[i], sizes[j])
    explained = {0: 0.0}
    for size in range(1, len(blocks) + 1):
        for chosen in combinations(range(len(blocks)), size):
            places = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in chosen])
            part = gram[np.ix_(places, places)]
            # Dummies of several parameters are dependent: least squares with the smallest norm.
            solution = np.linalg.lstsq(part, sums[places], rcond=1e-12)[0]
            explained[sum(1 << i for i in chosen)] = min(1.0, float(solution @ sums[places]) / total)
    return explained


def _shares(count: int, explained: dict[int, float]) -> list[float]:
    """What each parameter adds, averaged over all orders: a subset of k of the other n - 1 comes before it in
    k! (n - 1 - k)! / n! of them (Shapley 1953)."""
    shares = []
    for one in range(count):
        others = [other for other in range(count) if other != one]
        parts = []
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - 1 - size) / math.factorial(count)
            for before in combinations(others, size):
                mask = sum(1 << other for other in before)
                parts.append(weight * (explained[mask | 1 << one] - explained[mask]))
        shares.append(max(0.0, math.fsum(parts)))
    return shares


def as_rows(found: Importance) -> list[Row]:
    """A row per part, parameters first."""
    rows: list[Row] = [{"part": name, "kind": "parameter", "share": share} for name, share in found.parameters.items()]
    rows.append({"part": "interactions", "kind": "interactions", "share": found.interactions})
    rows.append({"part": "repeats", "kind": "repeats", "share": found.repeats})
    return rows
