"""Patterns that would take years: they are stopped, named, and cost nothing else its value."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.extraction.test_extraction import read
from tests.results.extraction.test_search_equals_re import (
    EXPRESSIONS,
    PATTERNS,
    PIECES,
    plain_lines,
    plain_matches,
    shown,
)
from tests.workbench import alive, searching, until
from tui_lab.experiment.patterns.effort import longest_line
from tui_lab.experiment.patterns.pattern import Pattern, PatternError, compile_pattern
from tui_lab.results.extraction import search, slow_search
from tui_lab.results.extraction.search import all_matches, first_match, last_match, lines_with_match
from tui_lab.results.extraction.slow_search import STRIKES, SlowSearch, TooSlowError
from tui_lab.results.extraction.text import Text

FOREVER = [
    (r"(a+)+$", "a" * 40 + "!"),
    (r"(\w+\s?)*;", "word " * 20 + "!;"),
    (r"(?:a|a)*b (@int@)", "a" * 40 + " b 1"),
    (r"(.*)(.*)(.*)(.*)(.*)x=(@int@)!", "x=1 " * 400 + "!"),
]
SHORT = pytest.mark.usefixtures("short_limit")


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LIMIT", 0.2)
    monkeypatch.setattr(slow_search, "LIMIT", 0.2)
    monkeypatch.setattr(slow_search, "_strikes", {})


@SHORT
@pytest.mark.parametrize(("pattern", "output"), FOREVER, ids=range(len(FOREVER)))
def test_it_is_stopped(pattern: str, output: str) -> None:
    compiled, text = compile_pattern(pattern), Text(output.encode())
    for function in (last_match, first_match, lines_with_match, lambda *given: list(all_matches(*given))):
        with pytest.raises(TooSlowError):
            function(compiled, text)


@SHORT
@pytest.mark.parametrize("take", ["last", "first", "count", "max"])
def test_the_metric_is_null_and_the_others_are_read(tmp_path: Path, take: str) -> None:
    metrics = f"  m: {{pattern: '(a+)+$', take: {take}, type: str}}\n  n: 'n=(@int@)'\n"
    if take == "max":
        metrics = metrics.replace(", type: str", "")
    found = read(tmp_path, metrics, {"stdout": "n=3\n" + "a" * 40 + "!\n"})
    assert found.values == {"m": [None], "n": [3]}
    assert found.tallies["m"].slow == [7] and not found.tallies["n"].slow


@SHORT
@pytest.mark.parametrize("take", ["last", "sum"])
def test_in_a_large_output(tmp_path: Path, take: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_lab.results.extraction.extract.BLOCK", 1 << 10)
    lines = ["a" * 40 + "!", *["n=1"] * 30_000]
    found = read(
        tmp_path,
        f"  m: {{pattern: '(a+)+$', take: {take}}}\n  n: {{pattern: 'n=(@int@)', take: {take}}}\n",
        {"stdout": "\n".join(lines)},
    )
    assert found.values["n"] == [1 if take == "last" else 30_000]
    assert found.tallies["m"].slow == [7]


@pytest.mark.parametrize(
    ("pattern", "output", "value"),
    [
        ("loss=(@float@) .*acc=@float@", "loss=0.5 " * 120_000, None),
        (r"(@float@)s\b", "1" * 40_000, None),
        (r"(@float@)s\b", "0" * 40_000 + "1s s", 1.0),
        (r"(@float@)s\b", "1" * 20_000 + " s 2.5s", 2.5),
        (r"(@int@)\s*ms", "1" * 40_000 + " x ms", None),
        ("(@quantity@) total", "1,234 " * 50_000, None),
        ("name (@str@) end", '"' * 30_000 + " name x end", "x"),
        ("(?i)LOSS (a+)+$", "x" * 60_000 + "a" * 60, None),
        ("n=(@int@)", "n=7 " * 250_000, 7),
    ],
    ids=range(9),
)
def test_long_lines_are_searched_to_their_end(tmp_path: Path, pattern: str, output: str, value: object) -> None:
    found = read(tmp_path, f"  m: '{pattern}'\n", {"stdout": output})
    assert found.values["m"] == [value]
    assert not found.tallies["m"].slow


@SHORT
def test_what_was_too_slow_often_is_not_tried_again() -> None:
    pattern = compile_pattern("(?:a+b?)+(a+)+$")
    text = Text(b"a" * 50 + b"!")
    for _ in range(STRIKES):
        with pytest.raises(TooSlowError):
            last_match(pattern, text)
    # 0.2 s of CPU time would be used again for each of them.
    began = time.process_time()
    for _ in range(300):
        with pytest.raises(TooSlowError):
            last_match(pattern, text)
    assert time.process_time() - began < 10
    assert last_match(pattern, Text(b"x")) is None, "what can't match is known without trying"


def test_many_lines_that_each_take_a_while_are_left_to_a_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_PATIENCE", -1.0)
    pattern, raw = compile_pattern("x=(@int@)"), b"".join(b"x=%d\n" % n for n in range(500))
    expected = plain_matches(pattern, raw)
    assert [shown(match) for match in all_matches(pattern, Text(raw))] == expected
    assert lines_with_match(pattern, Text(raw)) == list(range(500))
    missing = Text(raw + b"y\n" * 100)
    last, first = last_match(pattern, missing), first_match(compile_pattern("x=(4..)"), missing)
    assert last is not None and last[1] == "499" and first is not None and first[1] == "400"


def in_helpers(pattern: Pattern) -> Pattern:
    """The same, of which no line can be searched at once."""
    own = replace(pattern)
    own.__dict__["reach"] = -1
    return own


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25).map(b"".join), st.sampled_from(PATTERNS) | EXPRESSIONS)
def test_helpers_find_the_same(raw: bytes, written: str) -> None:
    try:
        pattern = in_helpers(compile_pattern(written))
    except PatternError:
        return
    expected = plain_matches(pattern, raw)
    assert [shown(match) for match in all_matches(pattern, Text(raw))] == expected
    last, first = last_match(pattern, Text(raw)), first_match(pattern, Text(raw))
    assert (shown(last) if last else None) == (expected[-1] if expected else None)
    assert (shown(first) if first else None) == (expected[0] if expected else None)
    if pattern.spans:
        begins = [span[0] for *_, span in expected]
        most = max(len(plain_lines(raw)) - 1, 0)
        lines = [min(Text(raw).whole.count("\n", 0, begin), most) for begin in begins]
        assert lines_with_match(pattern, Text(raw)) == list(dict.fromkeys(lines))
        return
    lines = [number for number, line in enumerate(plain_lines(raw)) if pattern.regex.search(line)]
    assert lines_with_match(pattern, Text(raw)) == lines
    count, where = SlowSearch(pattern).where(Text(raw).lines, 1000)
    assert (count, list(where)) == (len(expected), lines)
    assert [shown(match) for matches in where.values() for match in matches] == expected


@pytest.mark.parametrize("pattern", ["loss: (@float@)", r"loss[=:]\s*(@float@)", "^Epoch", r"(\w+): (\S+)", "(.+)"])
def test_usual_patterns_need_no_helper_for_usual_lines(pattern: str) -> None:
    assert compile_pattern(pattern).reach > 500


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(a|aa)*$", r"(x+x+)+y", r"(\d+|\w+)*!", r"(?:(?:a*)*)*b", r"(a)\1*(a*)*b"]
)
def test_no_line_is_short_enough_for_some(pattern: str) -> None:
    assert longest_line(re.compile(pattern)) == 0


def test_a_helper_ends_with_who_asked_it() -> None:
    """In the midst of a search, and whatever ends the other."""
    code = (
        "from tui_lab.results.extraction.slow_search import SlowSearch\n"
        "from tui_lab.experiment.patterns.pattern import compile_pattern\n"
        "SlowSearch(compile_pattern('(a+)+$'), 100000.0).first(['a' * 60 + '!'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        helpers = until(lambda: searching(process.pid))
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(alive(helper) for helper in helpers))
