"""Sets of task ids as ranges."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.store import ranges


@given(st.sets(st.integers(0, 60)))
def test_there_and_back(ids: set[int]) -> None:
    found = ranges.to_ranges(list(ids))
    assert list(ranges.each(found)) == sorted(ids)
    assert ranges.to_ids(found).tolist() == sorted(ids)
    assert ranges.count(found) == len(ids)
    assert all(earlier[1] + 1 < later[0] for earlier, later in pairwise(found))


@pytest.mark.parametrize(
    ("ids", "text"),
    [([], ""), ([3], "3"), ([1, 2, 3, 7], "1-3, 7"), (range(0, 20, 2), "0, 2, 4, 6, 8, 10, and 4 more")],
)
def test_for_people(ids: list[int], text: str) -> None:
    assert ranges.shown(ids) == text
