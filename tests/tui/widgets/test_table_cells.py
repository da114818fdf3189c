"""Cells: nothing of a value reaches a terminal as it is, and every cell has the width that it should have."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui_lab.results.precision import Digits, notation, telling
from tui_lab.results.terminal.guard import neutral
from tui_lab.tui.widgets.table.cells import Column, Measure, cells, fitted, visible, widths
from tui_lab.tui.widgets.table.layout import GAP, GUTTER, Layout

NUMBERS = st.one_of(st.floats(), st.floats(-2, 2), st.sampled_from([0.0, -0.0, 1e-300, 1e300, 5e-324, 0.1, 1e22]))


@given(st.text())
def test_text_is_visible(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert len(text) > 400 or text.isprintable() is (shown == text)


@given(st.text(alphabet="ab\x1b\x07\x9b\x7f\r\u061c\u200e\u202e\u2066\u2069"))
def test_a_cell_writes_what_touches_a_terminal_as_the_commands_do(text: str) -> None:
    assert visible(text) == neutral(text)


@given(st.lists(NUMBERS, min_size=1, max_size=30), NUMBERS)
def test_the_numbers_of_a_column_differ_from_what_is_shown_by_a_rounding(values: list[float], other: float) -> None:
    how = notation(values)
    texts = {value: how.text(value) for value in {*values, other} if math.isfinite(value)}
    decimals = {len(text.partition("e")[0].partition(".")[2]) for text in texts.values()}
    assert len(decimals) <= 1 and ("-0" not in texts.values())
    shown = [float(texts[value]) for value in sorted(texts)]
    assert shown == sorted(shown)
    for value, text in texts.items():
        exponent = int(text.partition("e")[2] or 0)
        assert abs(Decimal(text) - Decimal(value)) <= Decimal(10) ** (exponent - how.places) / 2
    assert all(len(texts[value]) <= 24 for value in values if value in texts)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_numbers_that_differ_by_a_thousandth_of_the_range_look_different(values: list[float]) -> None:
    how = notation(values)
    least = (max(values) - min(values)) / 1000
    for one, other in pairwise(sorted(values)):
        assert other - one <= least or how.text(one) != how.text(other)


@given(st.lists(NUMBERS, max_size=20))
def test_no_two_values_of_a_parameter_are_written_alike(values: list[float]) -> None:
    apart = {0.0, *(value for value in values if math.isfinite(value))}
    assert len(set(map(telling(values).text, apart))) == len(apart)


@given(st.lists(st.one_of(st.none(), NUMBERS), max_size=40), st.lists(NUMBERS, max_size=40))
def test_a_notation_that_was_found_a_page_at_a_time_is_that_of_all(
    first: list[float | None], then: list[float]
) -> None:
    digits = Digits()
    digits.begin(first)
    before = digits.notation
    assert digits.take(then) is (digits.notation != before)
    assert digits.notation == notation([*(value for value in first if value is not None), *then])
    assert not digits.take(then)
    digits.begin(then)
    assert abs(digits.notation.places - notation(then).places) <= 1


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.001, 0.01, 0.1], ["0.001", "0.010", "0.100"]),
        ([1e-5, 1e-4, 0.1, 10.0], ["1e-5", "1e-4", "1e-1", "1e1"]),
        ([0.9123456, 0.9345678], ["0.91235", "0.93457"]),
        ([0.1, 0.2, 0.1 + 0.2], ["0.1", "0.2", "0.3"]),
        ([2.3, 0.0003, math.inf, math.nan], ["2.3000", "0.0003", "inf", "nan"]),
        ([1e6 + 0.001, 1e6 + 0.002], ["1000000.001", "1000000.002"]),
        ([-0.0, 1e-300], ["0e0", "1e-300"]),
        ([1e300, 1.0], ["1e300", "1e0"]),
        ([16.0, 64.0], ["16", "64"]),
    ],
)
def test_numbers_of_a_column(values: list[float], texts: list[str]) -> None:
    assert [notation(values).text(value) for value in values] == texts


@given(st.text(max_size=30), st.integers(0, 30), st.booleans(), st.integers(0, 5))
def test_a_cell_has_its_width(text: str, width: int, right: bool, pad: int) -> None:
    found = fitted(visible(text), width, right, pad)
    assert cell_len(str(found)) == width


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=20))
def test_points_stand_below_each_other(values: list[float | None]) -> None:
    how = notation([value for value in values if value is not None])
    found = cells(Column("x"), pl.Series("x", values, dtype=pl.Float64), "·", how)
    measure = Measure()
    measure.take(found)
    heads = {cell.width - cell.tail for cell in found}
    assert max(heads) == measure.head
    for cell in found:
        shown = str(fitted(cell.text, measure.width, True, measure.tail - cell.tail))
        assert len(shown) == measure.width
        if "." in shown:
            assert shown.index(".") == measure.head


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 200)), max_size=12), st.integers(0, 200))
def test_columns_take_no_more_room_than_they_want(sizes: list[tuple[int, int]], room: int) -> None:
    columns = [Column("x" * title) for title, _ in sizes]
    measures = [Measure(head=text) for _, text in sizes]
    found = widths(columns, [column.title for column in columns], measures, GAP, room)
    for width, (title, text) in zip(found, sizes, strict=True):
        assert title <= width <= max(title, text)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(0, 3), st.integers(1, 100), st.data())
def test_every_column_can_be_brought_into_sight(sizes: list[int], frozen: int, room: int, data: st.DataObject) -> None:
    layout = Layout.of(sizes, frozen, room)
    place = data.draw(st.integers(0, len(sizes) - 1))
    scroll = layout.scroll_to(place, data.draw(st.integers(0, 200)), room)
    assert scroll >= 0
    assert place < layout.frozen or place in layout.moving(scroll, room)
    assert layout.at(GUTTER, 0) == 0
