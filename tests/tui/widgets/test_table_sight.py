"""Which rows stand on which lines, some of which stay above."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui_lab.tui.widgets.table.sight import Sight

numbers = st.integers(0, 60)


@given(numbers, numbers, st.integers(-1, 40), numbers, numbers)
def test_rows_and_lines_agree(rows: int, pinned: int, lines: int, scroll: int, row: int) -> None:
    sight = Sight.of(rows, min(pinned, rows), lines)
    scroll = min(scroll, max(0, sight.height - sight.lines))
    shown = [sight.row_at(line, scroll) for line in range(sight.lines)]
    known = [one for one in shown if one is not None]
    assert known == sorted(set(known)) and all(0 <= one < rows for one in known)
    assert [sight.line_of(one, scroll) for one in known] == [at for at, one in enumerate(shown) if one is not None]
    assert [one for one in range(rows) if sight.shows(one, scroll)] == known, "no others are said to be in sight"
    assert sight.held <= max(0, lines) / 2 and known[: sight.held] == list(range(sight.held))
    start, stop = sight.moving(scroll)
    assert {one for one in known if one >= sight.held} <= set(range(start, stop))
    assert (None in shown) == (sight.held > 0 or rows < sight.lines)
    if row < rows and sight.body:
        to = sight.scroll_to(row, scroll)
        assert sight.shows(row, to) and (to == scroll or not sight.shows(row, scroll))
        if row >= sight.held and sight.shows(row, scroll):
            assert sight.scroll_for(row, sight.line_of(row, scroll)) == scroll


def test_where_all_rows_are_pinned_there_is_no_rule() -> None:
    assert Sight.of(3, 3, 20) == Sight(3, 20, 0)
    assert [Sight.of(99, 30, lines).held for lines in (2, 9, 20)] == [0, 3, 10], "there is not room for all"
