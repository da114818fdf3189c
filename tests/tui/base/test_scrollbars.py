"""Horizontal scrollbars: where the bar stands."""

from __future__ import annotations

import pytest
from rich.segment import Segment

from tui_lab.tui.base.scrollbars import ThinScrollbars, thumb


def test_it_is_half_a_row_high_and_each_cell_does_what_it_shows() -> None:
    row = ThinScrollbars.render_bar(size=10, virtual_size=20, window_size=10, position=5, vertical=False).segments
    assert [one.text for one in row] == ["  ", "▄▄▄▄▄", "   ", "\n"]
    actions = [one.style.meta["@mouse.down"] for one in row if one.style is not None]
    assert actions == ["scroll_up", "grab", "scroll_down"]
    upright = ThinScrollbars.render_bar(size=4, virtual_size=8, window_size=4, vertical=True).segments
    assert len(upright) == 4 and Segment("▄") not in upright


@pytest.mark.parametrize(
    ("position", "found"),
    [(0, (0, 1)), (1, (1, 1)), (500, (5, 1)), (989, (8, 1)), (990, (9, 1))],
)
def test_it_touches_an_end_only_at_the_end(position: float, found: tuple[int, int]) -> None:
    assert thumb(10, 1000, 10, position) == found


def test_without_anything_hidden_there_is_no_bar() -> None:
    assert thumb(10, 10, 10, 0) == (0, 0)
    assert thumb(10, 5, 10, 0) == (0, 0)
