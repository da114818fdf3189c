"""Patterns: shorthands, groups, and errors at their place."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.readers import NOTHING, TextReader
from tui_lab.results.text import Text
from tui_lab.spec.metric import Metric
from tui_lab.spec.pattern import PatternError, compile_pattern


def value(pattern: str, output: str | bytes, **metric: object) -> object:
    reader = TextReader("m", Metric(pattern=pattern, **metric))  # type: ignore[arg-type]
    found = reader.value(Text(output if isinstance(output, bytes) else output.encode()))
    return "nothing" if found is NOTHING else found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5.0), ("-5", -5.0), ("+.5", 0.5), ("5.", 5.0), ("1E-5", 1e-5), ("1e+5", 1e5), ("0.1D-03", 1e-4),
        ("inf", math.inf), ("-inf", -math.inf), ("Infinity", math.inf), ("INF", math.inf), ("1.5d3", 1500.0),
        ("1.5D-3", 0.0015),
    ],
)  # fmt: skip
def test_float(text: str, number: float) -> None:
    assert value("x=(@float@)", f"x={text}") == number


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", "NAN", "nan(ind)"])
def test_float_nan(text: str) -> None:
    assert math.isnan(value("x=(@float@)", f"x={text} y"))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["info", "nancy", "final", "e5", ".", "-"])
def test_not_a_float(text: str) -> None:
    assert value("x=(@float@)", f"x={text}") == "nothing"


@given(st.floats())
def test_every_float_that_python_prints(number: float) -> None:
    assert repr(value("x=(@float@)", f"x={number!r}")) == repr(number)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer(number: int) -> None:
    assert value("x=(@int@)", f"x={number}") == number


def test_integers_of_any_size() -> None:
    assert value("x=(@int@)", f"x={2**63}") == 2**63
    assert value("x=(@int@)", f"x=-{10**50}") == -(10**50)


def test_texts() -> None:
    assert value("name: (@str@)", 'name: "two words" rest') == "two words"
    assert value("name: (@str@)", "name: one, two") == "one,"
    assert value("name: (@slug@)", "name: a-b_c.d") == "a-b_c"
    assert value(r"name: (\S+)", 'name: "quoted"') == '"quoted"'


def test_which_group_is_the_value() -> None:
    assert value("loss @float@", "loss 2.5") == 2.5
    assert value("(?P<value>@int@) of (?P<total>@int@)", "3 of 4") == 3
    assert value("a=(@float@)|b=(@float@)", "b=2") == 2.0
    assert value("done", "done") == "done"
    assert compile_pattern("(?:a|b)(@int@)").kind == "int"
    assert compile_pattern(r"\((@float@)\)").kind == "float"
    assert compile_pattern("(x@float@)").kind == "text"


def test_a_shorthand_keeps_the_numbers_of_groups() -> None:
    assert value(r"(?P<value>@quantity@) (\w)\2", "3k aa") == 3000.0


def test_an_at_sign() -> None:
    assert value(r"\@int@ (@int@)", "@int@ 7") == 7
    assert value("me@host@ (@int@)", "me@host@ 7") == 7


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("a(b", 1, "unterminated"),
        ("loss: (@float@", 6, "unterminated"),
        ("(@float@)**", 10, "multiple repeat"),
        ("loss: (@floot@)", 7, 'did you mean "@float@"'),
        ("[@int@]", 1, "cannot stand inside"),
        ("(@int@)(@float@)[z-a]", 17, "bad character range"),
    ],
)
def test_errors_are_at_their_place(text: str, offset: int, words: str) -> None:
    with pytest.raises(PatternError) as error:
        compile_pattern(text)
    assert words in error.value.message
    assert error.value.offset == offset


@given(st.text(st.sampled_from("ab@float(?P<x>)[]\\*+{}|^$.1"), max_size=20))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        assert compile_pattern(text).text == text
    except PatternError as error:
        assert 0 <= error.offset <= len(text)


def test_literals_make_it_fast() -> None:
    assert compile_pattern("Test accuracy: (@float@)").literal == b"Test accuracy: "
    assert compile_pattern("(?:a+bc)?def{2,}").literal == b"de"
    assert compile_pattern("(?i)LOSS (@int@)").literal == b"loss "
    assert compile_pattern("a|b").literal is None
    assert compile_pattern("µs (@int@)").literal == "µs ".encode()
    assert compile_pattern("(?=abc)x").literal == b"x"
