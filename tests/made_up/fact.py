"""A fact of tasks: how long a processor did nothing for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from tui_lab.experiment.facts import FACTS, Fact, register
from tui_lab.store.facts import VALUES, FoldedTasks

NAME = "idle_time"


def _idle(tasks: FoldedTasks) -> pl.Series:
    return tasks.floats("duration") - tasks.floats("cpu_time")


@contextmanager
def registered() -> Iterator[None]:
    """Have it for a while."""
    register(
        Fact(
            name=NAME,
            type="float",
            unit="s",
            meaning="time without a processor",
            phrase="{} idle",
            measured=True,
            in_slowest=9,
        )
    )
    VALUES[NAME] = _idle
    try:
        yield
    finally:
        del FACTS[NAME], VALUES[NAME]
