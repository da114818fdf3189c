"""Cells: nothing of a value reaches a terminal as it is, and every cell has the width that it should have."""

from __future__ import annotations

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui_lab.results.terminal.guard import neutral
from tui_lab.tui.widgets.table.cells import Column, Measure, cells, fitted, number, visible, widths
from tui_lab.tui.widgets.table.layout import GAP, GUTTER, Layout


@given(st.text())
def test_text_is_visible(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert len(text) > 400 or text.isprintable() is (shown == text)


@given(st.text(alphabet="ab\x1b\x07\x9b\x7f\r\u061c\u200e\u202e\u2066\u2069"))
def test_a_cell_writes_what_touches_a_terminal_as_the_commands_do(text: str) -> None:
    assert visible(text) == neutral(text)


@given(st.floats())
def test_a_number_is_read_back(value: float) -> None:
    found = float(number(value))
    assert math.isnan(found) if math.isnan(value) else math.isclose(found, value, rel_tol=1e-5) or found == value


@given(st.text(max_size=30), st.integers(0, 30), st.booleans(), st.integers(0, 5))
def test_a_cell_has_its_width(text: str, width: int, right: bool, pad: int) -> None:
    found = fitted(visible(text), width, right, pad)
    assert cell_len(str(found)) == width


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=20))
def test_points_stand_below_each_other(values: list[float | None]) -> None:
    found = cells(Column("x"), pl.Series("x", values, dtype=pl.Float64), "·")
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
