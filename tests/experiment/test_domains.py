"""What values a domain has, to the last bit."""

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_lab.experiment.domains.cases import Cases
from tui_lab.experiment.domains.choice import Choice
from tui_lab.experiment.domains.domain import Domain, Listed
from tui_lab.experiment.domains.draws import Permutation, words
from tui_lab.experiment.domains.geomspace import Geomspace
from tui_lab.experiment.domains.linspace import Linspace
from tui_lab.experiment.domains.loguniform import LogUniform
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.randint import RandInt
from tui_lab.experiment.domains.range import Range
from tui_lab.experiment.domains.uniform import Uniform
from tui_lab.experiment.domains.values import distinct


def values(domain: Domain) -> list[Value]:
    """The distinct values of a domain, in order."""
    return distinct(domain.listing())


def exactly(found: Sequence[object], expected: Sequence[object]) -> None:
    """Equal in value, type and order."""
    assert [(type(v), v) for v in found] == [(type(v), v) for v in expected]


@pytest.mark.parametrize(
    ("start", "stop", "step", "expected"),
    [
        (0, 1, 0.1, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        (1, 51, 10, [1, 11, 21, 31, 41]),
        (5, 0, -2, [5, 3, 1]),
        (1, 0, -0.25, [1.0, 0.75, 0.5, 0.25]),
        (0.0, 3, 1, [0.0, 1.0, 2.0]),
        (1e-5, 3e-5, 1e-5, [1e-05, 2e-05]),
        (3, 3, 1, []),
        (10**20, 10**20 + 2, 1, [10**20, 10**20 + 1]),
    ],
)
def test_ranges(start: float, stop: float, step: float, expected: list[float]) -> None:
    exactly(values(Range(start=start, stop=stop, step=step)), expected)


@pytest.mark.parametrize(
    ("start", "stop", "n", "expected"),
    [
        (0, 1, 11, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (1, 9, 3, [1, 5, 9]),
        (1.0, 9, 3, [1.0, 5.0, 9.0]),
        (0, 1, 3, [0.0, 0.5, 1.0]),
        (1, 0.1, 2, [1.0, 0.1]),
        (4, 9, 1, [4]),
        (2, 2, 3, [2]),
    ],
)
def test_linspaces_hold_both_ends(start: float, stop: float, n: int, expected: list[float]) -> None:
    exactly(values(Linspace(start=start, stop=stop, n=n)), expected)


@pytest.mark.parametrize(
    ("start", "stop", "n", "expected"),
    [
        (1, 1000, 4, [1, 10, 100, 1000]),
        (0.001, 1, 4, [0.001, 0.01, 0.1, 1.0]),
        (1, 512, 10, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]),
        (1, 10, 3, [1.0, 3.1622776601683795, 10.0]),
        (-1, -16, 3, [-1, -4, -16]),
        (1e-5, 0.1, 2, [1e-05, 0.1]),
        (3, 3, 1, [3]),
    ],
)
def test_geomspaces_hold_both_ends(start: float, stop: float, n: int, expected: list[float]) -> None:
    exactly(values(Geomspace(start=start, stop=stop, n=n)), expected)


def test_a_list_with_any_float_is_all_floats() -> None:
    exactly(values(Listed(values=(1, 0.5, True, None, "auto"))), [1.0, 0.5, True, None, "auto"])
    exactly(values(Listed(values=(1, True, "1"))), [1, True, "1"])


def test_equal_values_count_once_and_types_stay_apart() -> None:
    exactly(values(Listed(values=(2, True, 2, "2", None, None))), [2, True, "2", None])
    exactly(values(Listed(values=(0.0, -0.0, 1))), [0.0, 1.0])
    assert str(values(Listed(values=(-0.0,)))[0]) == "0.0"
    assert values(Listed(values=([1, 2], [1, 2], [1, 2.0], {"b": 1, "a": 2}, {"a": 2, "b": 1}))) == [
        [1, 2],
        [1, 2.0],
        {"b": 1, "a": 2},
    ]
    assert len(values(Listed(values=(math.nan, math.nan, math.inf)))) == 2


def test_cases_are_their_names_and_zipped_lists_keep_what_is_twice() -> None:
    assert values(Cases(cases={"small": {"w": 1}, "big": {"w": 2}})) == ["small", "big"]
    assert Listed(values=(1, 1, 2)).listing() == [1, 1, 2]
    assert values(RandInt(a=-1, b=1)) == [-1, 0, 1]
    assert values(Choice(values=("a", "b", "a"))) == ["a", "b"]


def test_what_can_not_be_listed() -> None:
    with pytest.raises(ValueError, match="continuum"):
        values(Uniform(a=0, b=1))
    with pytest.raises(ValueError, match="too many"):
        values(Range(start=0, stop=10**12))


decimals = st.decimals(min_value=-1000, max_value=1000, places=3).map(float)


@given(decimals, st.integers(1, 40), decimals.filter(bool))
def test_decimals_come_out_as_they_are_written(start: float, count: int, step: float) -> None:
    stop = Decimal(repr(start)) + Decimal(repr(step)) * count
    found = values(Range(start=start, stop=float(stop), step=step))
    expected = [float(Decimal(repr(start)) + Decimal(repr(step)) * i) for i in range(count)]
    assert found == [x + 0.0 for x in expected]


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-9, 9).filter(bool))
def test_integer_ranges_are_pythons(start: int, stop: int, step: int) -> None:
    exactly(values(Range(start=start, stop=stop, step=step)), list(range(start, stop, step)))


# --- Draws


def test_draws_are_fixed_for_all_time() -> None:
    assert words(1, "lr", np.arange(2)).tolist() == [12415468477450881993, 5097786852616308644]
    assert Uniform(a=0, b=1).draw(words(1, "lr", np.arange(2))).tolist() == [
        0.6730438947838772,
        0.2763515790237321,
    ]
    assert LogUniform(a=1e-5, b=0.1).draw(words(1, "lr", np.arange(2))).tolist() == [
        0.004922385005446353,
        0.00012746950992224178,
    ]
    assert Permutation(1, 10).at(np.arange(10)).tolist() == [9, 0, 8, 5, 3, 4, 7, 6, 1, 2]
    assert Permutation(1, 10**12).at(np.arange(3)).tolist() == [120875998120, 12768980994, 944983659373]


def test_draws_spread_evenly_within_their_ends() -> None:
    bits = words(3, "x", np.arange(20000))
    even = Uniform(a=-2, b=2).draw(bits)
    assert -2 <= even.min() < -1.99
    assert 1.99 < even.max() <= 2
    assert abs(even.mean()) < 0.05
    log = LogUniform(a=1e-6, b=1).draw(bits)
    assert log.min() >= 1e-6
    assert log.max() <= 1
    assert abs(np.log10(log).mean() + 3) < 0.05


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3000))
def test_a_permutation_meets_each_number_once(seed: int, size: int) -> None:
    assert sorted(Permutation(seed, size).at(np.arange(size))) == list(range(size))


def test_a_large_permutation_meets_each_number_once() -> None:
    size = (1 << 20) + 3
    assert np.array_equal(np.sort(Permutation(5, size).at(np.arange(size))), np.arange(size))
