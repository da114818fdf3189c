"""From matches to the one value of a metric: takes, types, units."""

from __future__ import annotations

import math
from typing import get_args

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results.extraction.test_patterns import value
from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.metric import Take
from tui_lab.results.extraction.columns import Column, build, merge
from tui_lab.results.extraction.structured import loads
from tui_lab.results.extraction.units import quantity
from tui_lab.results.extraction.values import Scalar, from_json, reduce

LINES = "loss 3\nloss 1\nother\nloss 2\n"


@pytest.mark.parametrize(
    ("take", "expected"),
    [("last", 2.0), ("first", 3.0), ("min", 1.0), ("max", 3.0), ("mean", 2.0), ("median", 2.0), ("sd", 1.0),
    ("sum", 6.0), ("count", 3), ("all", 2.0)],
)  # fmt: skip
def test_takes(take: str, expected: float) -> None:
    found = value("loss (@float@)", LINES, take=take)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("take", get_args(Take))
def test_takes_of_nothing(take: str) -> None:
    assert value("loss (@float@)", "no such line", take=take) == "nothing"


def test_several_matches_in_a_line_all_count() -> None:
    line = "loss=1 loss=2 loss=3"
    assert value("loss=(@int@)", line) == 3
    assert value("loss=(@int@)", line, take="first") == 1
    assert value("loss=(@int@)", line, take="count") == 3


def test_integers_stay_integers() -> None:
    assert value("n=(@int@)", "n=1\nn=2", take="sum") == 3
    assert isinstance(value("n=(@int@)", "n=1\nn=2", take="max"), int)
    assert value("n=(@int@)", "n=1\nn=2", take="mean") == 1.5
    assert value("n=(@int@)", f"n={2**62}\nn={2**62}", take="sum") == 2**63


def test_nan_hides_from_min_and_max_but_not_from_sums() -> None:
    output = "loss 2\nloss nan\nloss 1"
    assert value("loss (@float@)", output, take="min") == 1.0
    assert value("loss (@float@)", output, take="max") == 2.0
    assert math.isnan(value("loss (@float@)", output, take="mean"))  # type: ignore[arg-type]
    assert math.isnan(value("loss (@float@)", output, take="sum"))  # type: ignore[arg-type]
    assert math.isnan(value("loss (@float@)", "loss nan", take="min"))  # type: ignore[arg-type]


def test_sums_are_exact() -> None:
    assert value("x (@float@)", "x 1e16\nx 1\nx -1e16\n" + "x 0.1\n" * 10, take="sum") == 2.0


def test_median_and_sd() -> None:
    assert value("x (@int@)", "x 1\nx 9\nx 2", take="median") == 2.0
    assert value("x (@int@)", "x 1\nx 2", take="median") == 1.5
    assert value("x (@int@)", "x 1\nx 2\nx 3", take="sd") == 1.0
    assert value("x (@float@)", "x 5", take="median") == 5.0
    assert value("x (@float@)", "x 5", take="sd") is None
    assert value("x (@float@)", "x 1000000000.3\nx 1000000000.4\nx 1000000000.5", take="sd") == 0.1
    assert value("x (@quantity@)", "x 1 ms\nx 3 ms\nx 1 s", take="median", unit="ms") == 3.0
    assert value("x (.*)", "x 1\nx 3\nx y", take="median") is None
    assert value("x (.*)", "x 1\nx 4", take="median") == 2.5
    for take in ("median", "sd"):
        assert math.isnan(value("x (@float@)", "x 1\nx nan\nx 2", take=take))  # type: ignore[arg-type]
        assert value("x (@float@)", "y 1", take=take) == "nothing"


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_min_and_max(values: list[Scalar | None]) -> None:
    assert reduce("min", values) == min(values)  # type: ignore[type-var]
    assert reduce("max", values) == max(values)  # type: ignore[type-var]
    reduce("sum", values)
    reduce("mean", values)
    reduce("median", values)
    reduce("sd", values)


@pytest.mark.parametrize(
    ("text", "type_", "expected"),
    [
        ("3", "float", 3.0), ("3", "int", 3), ("3.0", "int", 3), ("3.5", "int", None), ("3", "str", "3"),
        ("yes", "bool", True), ("False", "bool", False), ("maybe", "bool", None), ("abc", "float", None),
        ("0x10", "int", None), ("1e3", "int", 1000),
    ],
)  # fmt: skip
def test_types(text: str, type_: str, expected: object) -> None:
    found = value(r"x=(\S+)", f"x={text}", type=type_)
    assert found == expected
    assert type(found) is type(expected)


def test_without_a_type_text_stays_text_but_numbers_are_taken_from_it() -> None:
    assert value(r"x=(\S+)", "x=5") == "5"
    assert value(r"x=(\S+)", "x=5\nx=7", take="mean") == 6.0
    assert value(r"x=(\S+)", "x=5\nx=10", take="max") == 10.0
    assert value(r"x=(\S+)", "x=5\nx=10", take="max", type="str") == "5"


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("18.6k", None, 18600.0), ("18.6K", None, 18600.0), ("3.2 MiB/s", None, 3355443.2),
        ("3.2 MiB/s", "MB/s", 3.3554432), ("100 Mbit/s", "MB/s", 12.5), ("100Mbps", "Mb/s", 100.0),
        ("1.2 s", "ms", 1200.0), ("800 us", "ms", 0.8), ("800 µs", "ms", 0.8), ("2 h", "min", 120.0),
        ("1.5d", "h", 36.0),
        ("5m", None, 300.0), ("5 min", "s", 300.0), ("0m1.234s", "s", 1.234), ("1h2m3s", "s", 3723.0),
        ("1:02:03.5", "s", 3723.5), ("02:03", "s", 123.0), ("95%", None, 95.0), ("95%", "1", 0.95),
        ("95%", "%", 95.0),
        ("1,234,567", None, None), ("12.5", "ms", 12.5), ("18.6k", "IOPS", 18600.0),
        ("18.6k", "k", 18.6),
        ("1 GiB", "MiB", 1024.0), ("8 b", "B", 1.0), ("2 KiB", "KB", 2.048), ("60 req/min", "req/s", 1.0),
        ("3.1 GHz", "MHz", 3100.0), ("1e3 ms", "s", 1.0), ("5 apples", None, 5.0),
        ("5 apples", "apples", 5.0),
        ("3 ms", "MB", None), ("1e999 s", "ms", None), ("4.35%", "1", 0.0435), ("-3 dB", "dB", -3.0),
    ],
)  # fmt: skip
def test_quantities(text: str, unit: str | None, expected: float | None) -> None:
    assert value("took (@quantity@)", f"took {text}", unit=unit) == expected


def test_a_decimal_comma_is_refused() -> None:
    assert value("took (@quantity@)", "took 1,5 s") is None
    assert value("took (@quantity@)", "took 1,5 s", decimal=",") == 1.5


def test_value_and_unit_apart() -> None:
    pattern = r"rate (?P<value>@float@) \[(?P<unit>[^\]]+)\]"
    assert value(pattern, "rate 2 [KiB/s]", unit="B/s") == 2048.0
    assert value(pattern, "rate 2 [KiB/s]\nrate 4 [MiB/s]", unit="KiB/s", take="all") == 4096.0


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["s", "ms", "MiB", "kB/s", "%", "k", ""]),
)
def test_a_quantity_is_itself_in_its_own_unit(number: float, unit: str) -> None:
    assert quantity(f"{number!r} {unit}", None, unit or None) == pytest.approx(number, rel=1e-15)


# --- Columns


def typed(values: list[Scalar | None], wanted: ColumnType) -> Column:
    return build("m", values, wanted)


def test_json_columns_take_the_type_of_their_values() -> None:
    assert typed([1, None, 2], "json").series.dtype == pl.Int64
    assert typed([1, 2.5], "json").series.to_list() == [1.0, 2.5]
    assert typed([True, None], "json").series.dtype == pl.Boolean
    assert typed(["a", "1"], "json").series.to_list() == ["a", "1"]
    assert typed(["a", 1, True], "json").series.to_list() == ['"a"', "1", "true"]
    assert typed([from_json(2**70, "json"), 1], "json").series.to_list() == [2**70, 1]
    assert typed([10**400, 1], "json").series.to_list() == [str(10**400), "1"]
    assert from_json(10**400, "float") is None


def test_cells_are_numbers_only_where_all_are() -> None:
    assert typed(["1", "2"], "cells").series.dtype == pl.Int64
    assert typed(["1", "2.5", "nan", ""], "cells").series.dtype == pl.Float64
    assert typed(["1", "n/a"], "cells").series.to_list() == ["1", "n/a"]
    assert typed(["007", "1"], "cells").series.to_list() == ["007", "1"]
    assert typed(["1.0", "2"], "cells").series.dtype == pl.Float64


JSON = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=3)
CELLS = st.none() | st.sampled_from(["1", "2", "1.5", "x", "007", "1e3", "-4"])


@given(st.lists(JSON), st.lists(JSON))
def test_merged_json_columns_are_those_of_all_values(first: list[Scalar | None], second: list[Scalar | None]) -> None:
    merged = merge(typed(first, "json"), typed(second, "json"), "json")
    if merged is not None:
        together = typed(first + second, "json")
        assert merged.form == together.form
        assert merged.series.to_list() == together.series.to_list()


@given(st.lists(CELLS), st.lists(CELLS))
def test_merged_cells_are_those_of_all_values(first: list[Scalar | None], second: list[Scalar | None]) -> None:
    merged = merge(typed(first, "cells"), typed(second, "cells"), "cells")
    if merged is not None:
        together = typed(first + second, "cells")
        assert merged.series.to_list() == together.series.to_list()
        assert merged.series.dtype == together.series.dtype


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e-400", "0." + "0" * 400 + "1", "9" * 400])
@pytest.mark.parametrize("kind", ["@float@", "@quantity@", r"\S+"])
def test_a_number_that_no_float_holds_is_none(kind: str, text: str) -> None:
    assert value(f"x=({kind})", f"x={text}", type="float") is None


@pytest.mark.parametrize("text", ["1e400", "1e-400"])
def test_a_number_that_no_float_holds_is_no_integer(text: str) -> None:
    assert value("x=(@int@)", f"x={text}") is None
    assert value(r"x=(\S+)", f"x={text}", type="int") is None


@pytest.mark.parametrize(("text", "expected"), [("0e-999", 0.0), ("-0.0", 0.0), ("5e-324", 5e-324), ("inf", math.inf)])
def test_zeros_and_infinities_that_are_written_are_read(text: str, expected: float) -> None:
    assert value("x=(@float@)", f"x={text}") == value("x=(@quantity@)", f"x={text}") == expected


@pytest.mark.parametrize("text", ["1e400", "-1e999", "1e-400"])
def test_a_number_of_json_that_no_float_holds_is_null(text: str) -> None:
    found = loads(f'{{"a": [{text}], "b": "{text}"}}'.encode())
    assert isinstance(found, dict)
    assert isinstance(found["a"], list)
    assert [from_json(found["a"][0], wanted) for wanted in ("float", "int", "json")] == [None] * 3
    assert from_json(found["b"], "json") == text


def test_a_unit_takes_no_quantity_beyond_floats() -> None:
    assert quantity("1e-320 ns", None, "h") is None
    assert quantity("1e305 GiB", None, "B") is None
    assert quantity("0 ns", None, "h") == 0.0
    assert reduce("mean", [10**400, 2]) is None
    assert reduce("mean", [10**400, -(10**400)]) == 0.0


@pytest.mark.parametrize("text", ["١٢٣", "５"])
def test_digits_are_those_of_ascii(text: str) -> None:
    assert [value(f"x=({kind})", f"x={text}") for kind in ("@float@", "@int@", "@quantity@")] == ["nothing"] * 3
    assert [value(r"x=(\S+)", f"x={text}", type=wanted) for wanted in ("float", "int")] == [None, None]
