"""How the Results pane writes the values of parameters."""

from __future__ import annotations

import polars as pl
import pytest

from tui_lab.tui.results_rows import _told_apart


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([0.1, 0.25, None], ["0.1", "0.25", "null"]),
        ([0.30000000000000004, 0.7000000000000001], ["0.3", "0.7"]),
        ([1.0000001234567, 1.0000002234567], ["1.0000001", "1.0000002"]),
        ([1.0, 1e-300], ["1.0", "1e-300"]),
    ],
)
def test_floats_have_the_digits_that_tell_them_apart(values: list[float | None], cells: list[str]) -> None:
    assert _told_apart(pl.Series(values)) == cells
