"""Values as a line of braille dots."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tui_lab.tui.widgets.spark import braille_line

VALUES = st.lists(st.none() | st.floats(), max_size=300)


def test_lines_of_braille() -> None:
    assert braille_line([math.exp(-i / 10) for i in range(40)], 12) == "⠉⠒⠤⠤⣀⣀⣀⣀⣀⣀⣀⣀"
    assert braille_line([0, 4, 4, 0], 2) == "⡸⢱"  # steep lines are whole
    assert braille_line([1, 2, 3, 4], 4, filled=True) == "  ⣠⣾"
    assert braille_line([1, 1, 1, 1], 2) == "⠤⠤"
    assert braille_line([0.2, None, 0.2, 0.2], 2, low=0, high=1) == "⡀⣀"
    assert braille_line([0, 0.5, 1], 4, ascii=True) == " .+@"
    assert braille_line([], 3) == "   "
    peak = braille_line([0.0] * 50 + [9.0] + [0.0] * 50, 10)
    assert any((ord(cell) - 0x2800) & 0x09 for cell in peak if cell != " ")


@given(VALUES, st.integers(1, 40), st.booleans(), st.booleans())
def test_any_values_fill_the_width(values: list[float | None], width: int, filled: bool, ascii: bool) -> None:
    text = braille_line(values, width, filled=filled, ascii=ascii)
    assert len(text) == width
    assert text.isascii() if ascii else all(c == " " or "\u2801" <= c <= "\u28ff" for c in text)
    known = [value for value in values if value is not None and math.isfinite(value)]
    assert bool(text.strip()) == bool(known)
