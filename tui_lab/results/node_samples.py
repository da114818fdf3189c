"""The samples of the nodes of a lab: the table `nodes`, and the last sample of each node."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import polars as pl

from tui_lab.experiment.data_types import Row
from tui_lab.results.extraction.columns import build
from tui_lab.results.extraction.structured import loads
from tui_lab.results.extraction.text import complete_lines
from tui_lab.results.extraction.values import from_json

# Columns of the table; `gpus` is JSON text. Further names in the file become further columns.
COLUMNS: Final[dict[str, pl.DataType]] = {
    "node": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "pool": pl.String(),  # what it was granted for
    "state": pl.String(),
    "slots": pl.Int64(),
    "used": pl.Int64(),
    "open": pl.Int64(),
    "load": pl.Float64(),
    "memory": pl.Int64(),  # bytes
    "memory_used": pl.Int64(),
    "latency": pl.Float64(),  # seconds
    "clock_offset": pl.Float64(),  # seconds
    "gpus": pl.String(),
    "cores": pl.Int64(),
    "python": pl.String(),
    "error": pl.String(),  # why it could not be reached
}
_KINDS: Final = {pl.Int64(): "int", pl.Float64(): "float", pl.String(): "str"}
_LATEST: Final = 253402300799.0  # seconds since 1970 of the year 9999: what is beyond is no time


def node_samples(path: Path) -> pl.DataFrame:
    """The samples of nodes in a lab, oldest first; no rows if there are none. What does not fit a column is null."""
    samples = _read(path)
    columns = []
    for name, dtype in COLUMNS.items():
        values = [sample.get(name) for sample in samples]
        if name == "at":
            columns.append(pl.Series(name, [_microseconds(value) for value in values], dtype=pl.Int64).cast(dtype))
        else:
            kind: Any = _KINDS[dtype]
            columns.append(pl.Series(name, [from_json(value, kind) for value in values], dtype=dtype))
    further = dict.fromkeys(name for sample in samples for name in sample if name not in COLUMNS)
    for name in further:
        columns.append(build(name, [from_json(sample.get(name), "json") for sample in samples], "json").series)
    return pl.DataFrame(columns)


def last_samples(path: Path) -> list[Row]:
    """The last sample of each node, as the engine wrote it, in the order in which the nodes came."""
    found: dict[str, Row] = {}
    for sample in _read(path):
        if isinstance(sample.get("node"), str):
            found[sample["node"]] = sample
    return list(found.values())


def _read(path: Path) -> list[Row]:
    try:
        raw = path.read_bytes()
    except OSError:
        return []
    samples = []
    for line in complete_lines(raw).splitlines():
        try:
            sample = loads(line)
        except ValueError:
            continue
        if isinstance(sample, dict):
            samples.append(sample)
    return samples


def _microseconds(value: object) -> int | None:
    """Seconds since 1970 as a time of the table."""
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= _LATEST:
        return None
    return round(value * 1e6)
