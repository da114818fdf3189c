"""How the Results pane writes the values of parameters."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tui_lab.results.statistics.table import parameter_texts
from tui_lab.results.statistics.text import brackets, even, even_values, interval, number


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([0.1, 0.25, None], ["0.1", "0.25", "null"]),
        ([0.30000000000000004, 0.7000000000000001], ["0.3", "0.7"]),
        ([1.0000001234567, 1.0000002234567], ["1.0000001", "1.0000002"]),
        ([1.0, 1e-300], ["1e0", "1e-300"]),
        ([1e-5, 3e-5, None, 0.01], ["0.00001", "0.00003", "null", "0.01000"]),
        ([1e-8, 0.0, 0.5, 1.5], ["1.0e-8", "0.0e0", "5.0e-1", "1.5e0"]),
        ([0.001, 1.0, 1000.0], ["0.001", "1.0", "1000.0"]),
        ([0.01, 0.0398107170553497, 0.1], ["0.01000", "0.03981", "0.10000"]),
        ([0.0001, 0.0398107170553497, 123456.789], ["1.000e-4", "3.981e-2", "1.235e5"]),
    ],
)
def test_floats_have_the_digits_that_tell_them_apart(values: list[float | None], cells: list[str]) -> None:
    assert parameter_texts(pl.Series(values)) == cells


@pytest.mark.parametrize(
    ("pairs", "step", "cells"),
    [
        ([(0.906, None), (0.9101, None)], 0.0001, [("0.9060", ""), ("0.9101", "")]),
        ([(0.9, 0.01), (0.90666667, None)], 0.01, [("0.900", "0.010"), ("0.907", "")]),
        ([(94.4, 5.2), (90.1234, 0.012)], 0.001, [("94.400", "5.200"), ("90.123", "0.012")]),
        ([(1.5, 0.3), (None, None), (2.0, 0.0)], 0.1, [("1.50", "0.30"), ("", ""), ("2.00", "0")]),
        ([(12.0, None), (7.0, None)], 1.0, [("12", ""), ("7", "")]),
        ([(1e-9, 1e-10), (2.0, 0.5)], 0.0, [("1.00e-09", "0.10e-09"), ("2.00", "0.50")]),
    ],
)
def test_a_column_has_one_number_of_decimals(pairs: list[Any], step: float, cells: list[tuple[str, str]]) -> None:
    assert even(pairs, step) == cells


@pytest.mark.parametrize(
    ("values", "step", "cells"),
    [
        ([1e9 + 0.001, 1e9 + 0.002, None], 0.001, ["1000000000.001", "1000000000.002", ""]),
        ([0.5, 0.25, 1.0], 0.01, ["0.50", "0.25", "1.00"]),
        ([1.0, 2.0], 1.0, ["1", "2"]),
        ([1e-7, 3.0], 0.0, ["1e-7", "3"]),
        ([1e308, -1e308], 1.0, ["1e308", "-1e308"]),
    ],
)
def test_values_differ_whatever_their_offset(values: list[float], step: float, cells: list[str]) -> None:
    assert even_values(values, step) == cells


def test_what_rounds_to_0_has_no_sign() -> None:
    assert interval(-0.01, 2.3) == "0.0 ± 2.3"
    assert interval(-1e-9, 2.3e8) == "0.0e+08 ± 2.3e+08"
    assert brackets(-0.001, -2.0, 2.0) == ("0.0", "[-2.0, 2.0]")
    assert even([(-0.01, 2.3), (4.0, 1.2)], 0.1) == [("0.0", "2.3"), ("4.0", "1.2")]
    assert even_values([-0.04, 5.0, 4.0], 1.0)[0] == "0.0"
    assert number(-0.0) == "0"
