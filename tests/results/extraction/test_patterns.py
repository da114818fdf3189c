"""Patterns: shorthands, groups, and errors at their place."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.patterns.pattern import PatternError, compile_pattern
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.results.extraction.readers import NO_MATCH, TextReader
from tui_lab.results.extraction.text import Text


def value(pattern: str, output: str | bytes, **metric: object) -> object:
    reader = TextReader("m", Metric(source=PatternSource(pattern=pattern), **metric))  # type: ignore[arg-type]
    found = reader.value(Text(output if isinstance(output, bytes) else output.encode()))
    return "nothing" if found is NO_MATCH else found


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


@settings(deadline=None)
@given(st.floats())
def test_every_float_that_python_prints(number: float) -> None:
    assert repr(value("x=(@float@)", f"x={number!r}")) == repr(number)


@settings(deadline=None)
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
    assert words in str(error.value)
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


@pytest.mark.parametrize(
    "pattern",
    [
        r"a\nb", "a\nb", r"a\r\nb", r"a\r?\nb", "(?s)a.b", "(?s:a.)b", r"a[\s\S]b", r"a[\r\n]+b", r"a(?=\n)",
        r"(?:x|a\n)b", r"(?x) a \n b", r"a(?:\n)*b", r"a[\d\D]*?b", r"a\x0ab", r"(?>a\n)b", r"(\s)?(?(1)\n|x)",
    ],
)  # fmt: skip
def test_a_pattern_that_spans_lines(pattern: str) -> None:
    assert compile_pattern(pattern).spans


@pytest.mark.parametrize(
    "pattern",
    [
        r"a\sb",
        r"a[^x]b",
        r"a[^\n]*b",
        "a.b",
        r"a\\nb",
        r"[\s\d]",
        "(?m)^a$",
        "(?x) a\n b # c\n",
        r"a[^\r\n]+",
        "(?s:a)b",
        "",
    ],
)
def test_a_pattern_for_a_line(pattern: str) -> None:
    assert not compile_pattern(pattern).spans


@pytest.mark.parametrize(
    ("pattern", "output", "found"),
    [
        (r"Test set:\n  loss: (@float@)", "Train set:\n  loss: 1\nTest set:\n  loss: 2\n", 2.0),
        (r"Test set:\n  loss: (@float@)", "Test set:\r\n  loss: 2\r\n", 2.0),
        (r"Test set:\r\n  loss: (@float@)", "Test set:\n  loss: 2\n", 2.0),
        (r"Test set:\s*\n  loss: (@float@)", "\x1b[1mTest set:\x1b[0m  \n  loss: 2", 2.0),
        (r"(?s)Final.*?acc (@float@)", "acc 1\nFinal\nx\nacc 2\nacc 3\n", 2.0),
        (r"(@int@)\nend", "1\n2\nend", 2),
        (r"^(@int@) s\n^(?=x)", "1 s\n2 s\nx\n3 s\n", 2),
        (r"(@int@)\n", "1\n2", 2),
        (r"(@int@)\n\n", "1\n\n\n2\n", 1),
        (r"(@int@)\n\n", "1\n2\n", "nothing"),
        (r"\r(@int@)%", "5%\r10%\r100%\n", 100),
        (r"(?i)TOTAL\n(@int@)", "caf\u00e9\nTotal\n3", 3),
        (r"a\n(@int@)", "", "nothing"),
    ],
)
def test_what_spans_lines_is_found(pattern: str, output: str, found: object) -> None:
    assert value(pattern, output) == found


def test_all_that_spans_lines_counts() -> None:
    output = "step 1\nloss 3\nstep 2\nloss 5\nstep 3\nacc 5\n"
    assert value(r"step \d+\nloss (@float@)", output, take="mean") == 4
    assert value(r"step \d+\nloss", output, take="count") == 2
    assert value(r"step \d+\nloss (@float@)", output, take="first") == 3


def test_places_of_errors_beside_ends_of_lines() -> None:
    with pytest.raises(PatternError) as told:
        compile_pattern(r"a\r\n(@int@) (?P<x>b")
    assert told.value.offset == len(r"a\r\n(@int@) ")
