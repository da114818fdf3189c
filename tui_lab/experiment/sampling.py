"""Distinct combinations at random, without listing the grid that they come from.

Draw number i is the same however many are asked for, so a larger sample begins with the smaller one. A grid
of up to 2^62 combinations is walked in a random order, which meets each once; beyond that, and for
parameters from a continuum, every axis is drawn by itself and what was met before is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.experiment.axes import Sweep, ValueTable, frame
from tui_lab.experiment.domains.draws import MAX_PERMUTED, Permutation, fractions, words

Rules: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]  # adds derived columns, drops what `where` drops

_BLOCK: Final = 1 << 18
_PATIENCE: Final = 1 << 22  # draws at least that are made before a condition counts as too strict


def sample(
    sweeps: Sequence[Sweep],
    n: int,
    seed: int,
    names: Sequence[str],
    table: ValueTable,
    rules: Rules,
    strict: bool,
) -> tuple[pl.DataFrame, str]:
    """`n` distinct combinations that pass `rules`, and a notice where there are fewer.

    `names` are the parameters in order, `strict` whether the rules may drop any.
    """
    sweeps = [s for s in sweeps if s.size != 0]
    sizes = [s.size for s in sweeps]
    finite = None not in sizes and sum(size or 0 for size in sizes) <= MAX_PERMUTED
    draw = _Walk(sweeps, seed) if finite else _Dice(sweeps, seed)
    columns = _Columns(sweeps, names, table)

    limit = max(_PATIENCE, 100 * n)
    total = sum(size or 0 for size in sizes) if finite else limit
    last, done, block = min(limit, total), 0, max(1024, 2 * n)
    found: pl.DataFrame | None = None
    while done < last and (found is None or found.height < n):
        stop = min(last, done + min(block, _BLOCK))
        numbers = np.arange(done, stop, dtype=np.int64)
        fresh = rules(columns.joined(draw.blocks(numbers)))
        found = fresh if found is None else pl.concat([found, fresh], how="vertical_relaxed")
        found = found.unique(subset=list(names), keep="first", maintain_order=True) if names else found.head(1)
        done, block = stop, block * 2
    if found is None:
        found = rules(columns.joined(draw.blocks(np.arange(0))))
    if found.height >= n:
        return found.head(n), ""
    asked = f"({n:,} were asked for)"
    if finite and done == total:
        fit = 'satisfy "where"' if strict else "exist"
        return found, f"sample: only {found.height:,} combinations {fit}, all are taken {asked}"
    fit = 'satisfy "where"' if strict else "are distinct"
    return found, f"sample: only {found.height:,} of {done:,} combinations drawn {fit} {asked}"


class _Walk:
    """All combinations of finite sweeps, one after the other in a random order."""

    def __init__(self, sweeps: Sequence[Sweep], seed: int) -> None:
        sizes = [int(s.size or 0) for s in sweeps]
        self.sweeps = sweeps
        self.order = Permutation(seed, sum(sizes))
        self.starts = np.cumsum([0, *sizes], dtype=np.int64)

    def blocks(self, numbers: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], pl.DataFrame]]:
        places = self.order.at(numbers)
        which = np.searchsorted(self.starts, places, side="right") - 1
        for i, sweep in enumerate(self.sweeps):
            mine = which == i
            yield numbers[mine], sweep.block(places[mine] - self.starts[i])


class _Dice:
    """Each axis by itself. A larger sweep is met more often; a continuum counts as one value there."""

    def __init__(self, sweeps: Sequence[Sweep], seed: int) -> None:
        self.sweeps, self.seed = sweeps, seed
        weights = [s.weight for s in sweeps]
        total = sum(weights)
        self.shares = np.array([sum(weights[: i + 1]) / total for i in range(len(weights))])

    def blocks(self, numbers: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], pl.DataFrame]]:
        pick = fractions(words(self.seed, "", numbers))
        which = np.minimum(np.searchsorted(self.shares, pick, side="right"), len(self.sweeps) - 1)
        for i, sweep in enumerate(self.sweeps):
            mine = numbers[which == i]
            columns: list[pl.Series] = []
            for axis in sweep.axes:
                bits = words(self.seed, axis.names[0], mine)
                columns.extend(axis.at(bits))
            yield mine, frame(columns, len(mine))


class _Columns:
    """Brings the sweeps' frames to the same columns: numbers stay plain where every sweep draws them."""

    def __init__(self, sweeps: Sequence[Sweep], names: Sequence[str], table: ValueTable) -> None:
        plain = [s.plain for s in sweeps]
        self.names, self.table = list(names), table
        self.coded = [n for n in names if any(n in p for p in plain) and len({p.get(n) for p in plain}) > 1]

    def joined(self, blocks: Iterator[tuple[npt.NDArray[np.int64], pl.DataFrame]]) -> pl.DataFrame:
        """One frame, in the order of the draws."""
        frames, numbers = [], []
        for drawn, block in blocks:
            for name in self.coded:
                if block.schema[name] != pl.UInt32:
                    codes = self.table.codes(name, block[name].to_list())
                    block = block.with_columns(pl.Series(name, codes, dtype=pl.UInt32))
            frames.append(block.select(self.names) if self.names else block)
            numbers.append(drawn)
        if len(frames) == 1:
            return frames[0]
        order = np.argsort(np.concatenate(numbers), kind="stable")
        joined = pl.concat(frames)
        return joined[order] if self.names else joined
