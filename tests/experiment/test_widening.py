"""A parameter with one value is given its neighbours; all else of the text stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.load import load_text
from tui_lab.experiment.widening import first_value, neighbours, widenings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", "[3, 6, 12]"),
        ("32", "[16, 32, 64]"),
        ("0", "[0, 1, 2]"),
        ("-4", "[-8, -4, -2]"),
        ("0.1", "[0.01, 0.1, 1.0]"),
        ("3e-4", "[3e-05, 3e-4, 0.003]"),
        ("0.5", "[0.25, 0.5, 0.75]"),
        ("0.9", "[0.45, 0.9, 0.95]"),
        ("2.5", "[1.25, 2.5, 5.0]"),
        ("[1, 2, 4]", "[1, 2, 4, 8]"),
        ("[0.01, 0.1, 1.0]", "[0.001, 0.01, 0.1, 1.0, 10.0]"),
        ("[1, 2, 3]", None),
        ("[adam]", None),
        ("[true]", None),
        ("['3']", None),
        ("[0x10]", "[8, 0x10, 32]"),
        ("{range: [1, 10]}", None),
        ("[3, # three\n    6]", None),
    ],
)
def test_what_becomes_of_values(value: str, expected: str | None) -> None:
    text = f"command: x {{a}}  # why\nparameters:\n  a: {value}  # more\nrepeat: 2\n"
    found = widenings(text, "f.yaml")
    assert [one.values for one in found] == ([expected] if expected else [])
    for one in found:
        assert one.edit.applied(text) == text.replace(f"a: {value}", f"a: {expected}")
        assert one.lines == (2, 2)


@given(st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False))
def test_the_value_stays_one_of_them_and_its_type(value: int | float) -> None:
    below, above = neighbours([value])
    both = [*below, value, *above]
    assert both == sorted(set(both)) and {type(one) for one in both} == {type(value)}
    text = f"command: x {{a}}\nparameters: {{a: [{value!r}]}}\n"
    for one in widenings(text, "f.yaml"):
        listed = load_text(one.edit.applied(text)).parameters[0]["a"].listing()
        assert list(map(repr, listed)) == list(map(repr, both))


def test_the_cursor_begins_at_the_first_number() -> None:
    assert first_value("parameters:\n  a: [adam]\n  b: [3]\n", "f") == (2, 6)
    assert first_value("parameters:\n  a: [adam]\n", "f") == (1, 6)
    assert first_value("command: x\n", "f") is None
