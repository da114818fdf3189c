"""A sweep as axes: what varies by itself, and the columns that each position of it fills.

Nothing here grows with the grid: an axis holds its own values, and a sweep of 10^30 combinations is a
handful of axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.experiment.domains.canonical import normal
from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.draws import Words
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.values import identity

Codes = npt.NDArray[np.uint32]


class ValueTable:
    """The distinct typed values of each parameter; a value's code is its place in the list."""

    def __init__(self) -> None:
        self.values: dict[str, list[Value]] = {}
        self._codes: dict[str, dict[object, int]] = {}

    def codes(self, name: str, items: Iterable[Value]) -> Codes:
        """The code of each item; values that are new are added."""
        known, listed = self._codes.setdefault(name, {}), self.values.setdefault(name, [])
        result = []
        for item in items:
            code = known.setdefault(identity(item), len(listed))
            if code == len(listed):
                listed.append(normal(item))
            result.append(code)
        return np.array(result, dtype=np.uint32)


@dataclass(frozen=True)
class Listing:
    """An axis of positions, each with a code per name. `at` picks one for each random word."""

    names: tuple[str, ...]
    rows: Codes  # one row per position, one column per name

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def columns(self, positions: npt.NDArray[np.int64]) -> Iterator[pl.Series]:
        """Yield the columns of the rows at these positions."""
        for name, codes in zip(self.names, self.rows.T, strict=True):
            yield pl.Series(name, codes[positions], dtype=pl.UInt32)

    def at(self, bits: Words) -> Iterator[pl.Series]:
        """Yield the columns of the rows that random bits choose."""
        return self.columns((bits % np.uint64(self.size)).astype(np.int64))


@dataclass(frozen=True)
class Numbers:
    """An axis of numbers that are drawn, never listed. One of a continuum has no positions, and no size."""

    name: str
    domain: Domain
    dtype: pl.DataType

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the one parameter."""
        return (self.name,)

    @property
    def size(self) -> int | None:
        """The number of values, None for a continuum."""
        return self.domain.size

    def columns(self, positions: npt.NDArray[np.int64]) -> Iterator[pl.Series]:
        """Yield the column of the numbers at these positions."""
        yield pl.Series(self.name, self.domain.at(positions), dtype=self.dtype)

    def at(self, bits: Words) -> Iterator[pl.Series]:
        """Yield the column of the numbers that random bits draw."""
        yield pl.Series(self.name, self.domain.draw(bits), dtype=self.dtype)


Axis = Listing | Numbers


@dataclass(frozen=True)
class Sweep:
    """The axes of one mapping of `parameters`, the last one fastest."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int | None:
        """How many combinations there are; None for a continuum."""
        sizes = [axis.size for axis in self.axes]
        if 0 in sizes:
            return 0
        return None if None in sizes else prod(size for size in sizes if size is not None)

    @property
    def weight(self) -> int:
        """The size without what is drawn from a continuum."""
        return prod(axis.size for axis in self.axes if axis.size is not None)

    @property
    def plain(self) -> dict[str, str]:
        """Parameters that are a column of numbers instead of codes, with the type of the numbers."""
        return {axis.name: str(axis.dtype) for axis in self.axes if isinstance(axis, Numbers)}

    def block(self, places: npt.NDArray[np.int64]) -> pl.DataFrame:
        """The combinations at these places of the grid, counted with the last axis fastest."""
        stride, columns = 1, []
        for axis in reversed(self.axes):
            if axis.size is None:
                raise ValueError("a continuum has no places")
            columns.append([*axis.columns((places // stride) % axis.size)])
            stride *= axis.size
        return frame([c for group in reversed(columns) for c in group], len(places))


def frame(columns: Sequence[pl.Series], height: int) -> pl.DataFrame:
    """A frame that has its height even without columns."""
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=height)


class ZipError(Exception):
    """Parameters that can't advance together. `group` is the place of the group in `zip`."""

    def __init__(self, group: int, message: str) -> None:
        super().__init__(message)
        self.group = group


def sweep(
    domains: Mapping[str, Domain],
    defaults: Mapping[str, Value],
    groups: Sequence[tuple[str, ...]],
    names: Sequence[str],
    table: ValueTable,
) -> Sweep:
    """The axes of one mapping. `names` are all parameters: what it leaves out gets its default or null.

    A zipped group stands where its first member stands; members that the mapping leaves out take no part.
    Raises ZipError, and ValueError for a domain that can't be listed.
    """
    axes: list[Axis] = []
    set_names: set[str] = set()
    for name in domains:
        if name in set_names:
            continue
        place, members = _group(name, domains, groups)
        if len(members) > 1:
            _check_zip(place, members, domains)
        axis = _axis(members, domains, defaults, table)
        axes.append(axis)
        set_names.update(members, axis.names)
    for name in names:
        if name not in set_names:
            codes = table.codes(name, [defaults.get(name)])
            axes.insert(0, Listing((name,), codes.reshape(1, 1)))
    return Sweep(tuple(axes))


def _group(name: str, domains: Mapping[str, Domain], groups: Sequence[tuple[str, ...]]) -> tuple[int, tuple[str, ...]]:
    for place, group in enumerate(groups):
        if name in group:
            return place, tuple(member for member in group if member in domains)
    return -1, (name,)


def _check_zip(place: int, members: tuple[str, ...], domains: Mapping[str, Domain]) -> None:
    counts = {}
    for name in members:
        domain = domains[name]
        if not domain.listed:
            raise ZipError(place, f'"{name}" is drawn at random, so it can\'t be zipped')
        counts[name] = len(domain.listing())
    if len(set(counts.values())) > 1:
        shown = ", ".join(f'"{name}" has {count}' for name, count in counts.items())
        raise ZipError(place, f"zipped parameters need the same number of values, but {shown}")


def _axis(
    members: tuple[str, ...], domains: Mapping[str, Domain], defaults: Mapping[str, Value], table: ValueTable
) -> Axis:
    domain = domains[members[0]]
    if domain.dtype is not None:
        return Numbers(members[0], domain, domain.dtype)
    names: list[str] = []
    columns: list[Codes] = []
    for name in members:
        for inner, items in _bundle(name, domains[name], defaults):
            names.append(inner)
            columns.append(table.codes(inner, items))
    rows = np.column_stack(columns)
    if len(rows) > 1:
        first = np.unique(rows, axis=0, return_index=True)[1] if len(names) > 1 else _first(rows[:, 0])
        if len(first) < len(rows):
            rows = rows[np.sort(first)]
    return Listing(tuple(names), np.asfortranarray(rows))


def _first(codes: Codes) -> npt.NDArray[np.int64]:
    return np.unique(codes, return_index=True)[1].astype(np.int64)


def _bundle(name: str, domain: Domain, defaults: Mapping[str, Value]) -> Iterator[tuple[str, Sequence[Value]]]:
    """The columns of a parameter: itself, and right after it what its values set."""
    yield name, domain.listing()
    for inner in domain.inner_names:
        yield inner, domain.inner_values(inner, defaults.get(inner))
