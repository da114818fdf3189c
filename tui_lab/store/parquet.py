"""Reading Parquet files by their literal names: a folder may be called `layers=[64,64]` or `lr=0.1`, which Polars would
take for a pattern, or for a column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

About: TypeAlias = dict[str, Any]
"""What a file says about itself, as JSON that was just read: who writes a kind of file knows what it holds."""


def read(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """A table, or some of its columns. Raises OSError, PolarsError."""
    return pl.read_parquet(path.absolute(), columns=columns, glob=False, hive_partitioning=False)


def about(path: Path, key: str) -> About:
    """What a file says of itself under a key of its metadata, as JSON. Raises OSError, PolarsError, KeyError,
    ValueError."""
    found: About = json.loads(metadata(path, key))
    return found


def metadata(path: Path, key: str) -> str:
    """Return what a file has under a key of its metadata. Raises OSError, PolarsError, KeyError."""
    return pl.read_parquet_metadata(path.absolute())[key]
