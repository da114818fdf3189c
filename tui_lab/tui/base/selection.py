"""The tasks that the Tasks pane is narrowed to, which other panes draw."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, eq=False)
class Chosen:
    """The tasks of an experiment that the user has marked, or else found by a filter. words: which, as shown."""

    experiment: str
    words: str
    ids: pl.Series
