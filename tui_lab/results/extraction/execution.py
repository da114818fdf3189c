"""What is needed to run something for metrics or rows: whether it may, and the values of parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from tui_lab.experiment.model import Experiment
from tui_lab.results.extraction.files import OutputFolders

Parameters: TypeAlias = Callable[[Sequence[tuple[int, int]]], pl.DataFrame]
"""Returns the values of parameters of tasks or runs, under their own names, with `repeat` and `seed`."""


@dataclass(frozen=True)
class Execution:
    """Of tasks, or of the runs of a stage; the experiment is then as the stage has it."""

    experiment: Experiment
    outputs: OutputFolders
    parameters: Parameters
    trusted: bool
    """Whether anything may be executed."""
