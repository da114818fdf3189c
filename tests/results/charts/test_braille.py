"""The field of braille dots."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.charts.terminal.braille import FIRST, Bits, plain

FAR = st.floats(-1e9, 1e9) | st.floats(-3, 14)
PLACES = st.lists(st.tuples(FAR, FAR), min_size=2, max_size=20)


def shown(bits: Bits) -> list[str]:
    return ["".join(chr(FIRST + int(code)) if code else " " for code in row) for row in bits.codes()]


def test_lines_points_and_areas() -> None:
    bits = Bits(4, 2)
    bits.line([0.0, 4.0], [0.0, 2.0])
    assert shown(bits) == ["  ⡠⠊", "⡠⠊  "]
    area = Bits(3, 1)
    rows, columns = area.fill([0.0, 0.0, np.nan, np.nan, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert shown(area) == ["⣿ ⠛"]
    assert {(int(row), int(column)) for row, column in zip(rows, columns, strict=True)} == {(0, 0), (0, 2)}
    area.clear((np.array([0]), np.array([0])))
    assert shown(area) == ["  ⠛"]
    one = Bits(1, 1)
    one.points([0.9, -1.0, 5.0], [0.9, 0.5, 0.5])
    assert shown(one) == ["⠈"]
    assert [plain(code) for code in (0, 0x01, 0x02, 0x40, 0xFF)] == [" ", "'", "-", ".", "|"]


@given(PLACES)
def test_a_line_goes_through_its_places_and_has_no_gap(places: list[tuple[float, float]]) -> None:
    bits = Bits(12, 5)
    xs, ys = zip(*places, strict=True)
    rows, columns = bits.line(xs, ys)
    assert ((rows >= 0) & (rows < 5) & (columns >= 0) & (columns < 12)).all()
    codes = bits.codes()
    assert {(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)} == set(
        zip(*(index.tolist() for index in np.nonzero(codes)), strict=True)
    )
    for x, y in places:
        if 0 <= x < 12 and 0 <= y < 5:
            near = codes[max(0, 4 - int(y) - 1) : 4 - int(y) + 2, max(0, int(x) - 1) : int(x) + 2]
            assert near.any()


def test_a_large_field_takes_less_than_a_frame() -> None:
    x = np.linspace(0, 120, 200)
    lines = [15 + 14 * np.sin(x / 9 + shift) for shift in range(3)]
    took = []
    for _ in range(20):
        began = time.perf_counter()
        bits = Bits(120, 30)
        for y in lines:
            bits.line(x, y)
        bits.codes()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.004
