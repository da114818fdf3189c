from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.render import RenderError, Value, quote, render


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (1e16, "1e+16"),
        (3.0, "3.0"),
        (-0.0, "-0.0"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ("", ""),
        ("a b\n", "a b\n"),
        ("{x}", "{x}"),
        ([1, "é b", None, True], '[1,"é b",null,true]'),
        ({"a": {"b": 0.5}}, '{"a":{"b":0.5}}'),
        (["\0"], '["\\u0000"]'),
    ],
)
def test_values_as_a_program_receives_them(value: Value, text: str) -> None:
    assert render(value) == text


@given(st.floats(allow_nan=False))
def test_a_float_reads_back_as_itself(value: float) -> None:
    assert float(render(value)) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s, max_size=4)))
def test_a_list_reads_back_as_itself(value: Value) -> None:
    assert json.loads(render([value])) == [value]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "null"),
        ("a\0", "NUL"),
        ("\ud800", "Unicode"),
        (["\ud800"], "Unicode"),
        ("x" * 131_072, "128 KiB"),
        ("é" * 65_536, "128 KiB"),
        (["x" * 131_070], "128 KiB"),
    ],
)
def test_what_no_program_can_be_given(value: Value, why: str) -> None:
    with pytest.raises(RenderError, match=why):
        render(value)


def test_the_limit_is_the_kernels() -> None:
    assert len(render("x" * 131_071)) == 131_071
    assert len(render("é" * 65_535)) == 65_535


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf"])))
def test_quoted_text_is_one_word(text: str) -> None:
    assert shlex.split(quote(text)) == [text]


def test_quoted_text_is_visible() -> None:
    assert quote("a/b-c_d=1,2:3@4%5+.") == "a/b-c_d=1,2:3@4%5+."
    assert quote("it's") == "'it'\\''s'"
    assert quote("a\nb\t\x1b\\'!é") == "$'a\\nb\\t\\033\\\\\\047\\041é'"
    assert quote("\u202e") == "$'\\342\\200\\256'"
