"""How far a running task is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.progress import MOST, Progress, task_progress, total_steps


@pytest.mark.parametrize(
    ("ends", "total"),
    [
        ([], None),
        ([99], 99),
        ([99] * 9 + [3], 99),  # one ended early
        ([99, 99, 3], None),
        ([1000, 1010, 990], 1000),
        ([0, 0], None),
    ],
)
def test_done_tasks_tell_how_many_steps_there_are(ends: list[float], total: float | None) -> None:
    assert total_steps(ends) == total


@pytest.mark.parametrize(
    ("elapsed", "step", "total", "durations", "share", "left"),
    [
        (60, 25, 100, [], 0.25, 180),
        (60, 25, 100, [90.0], 0.25, 180),  # steps know better
        (60, 120, 100, [], MOST, 0),
        (60, 0, 100, [240.0], 0.25, 180),  # it has not begun with its steps
        (60, 0, 100, [], 0.0, None),
        (60, None, None, [50.0, 100.0, 120.0, 240.0], 0.5, 60),  # of those that take longer than it has by now
        (60, 25, None, [240.0], 0.25, 180),
        (60, None, 100, [50.0], MOST, None),  # a little longer than any before
        (60, None, None, [0.1, 30.0], None, None),  # another kind of task: who knows
        (60, None, None, [], None, None),
    ],
)
def test_progress(
    elapsed: float,
    step: float | None,
    total: float | None,
    durations: list[float],
    share: float | None,
    left: float | None,
) -> None:
    assert task_progress(elapsed, step, total, durations) == Progress(share, left)


@given(
    st.floats(0, 1e9),
    st.none() | st.floats(0, 1e9),
    st.none() | st.floats(0, 1e9),
    st.lists(st.floats(0, 1e9)).map(sorted),
)
def test_what_runs_is_never_done(
    elapsed: float, step: float | None, total: float | None, durations: list[float]
) -> None:
    found = task_progress(elapsed, step, total, durations)
    assert found.share is None or 0 <= found.share <= MOST
    assert found.left is None or found.left >= 0
