"""The fast search finds what plain `re` finds line by line, whatever the output and the pattern."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.patterns.pattern import Pattern, PatternError, compile_pattern
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.results.extraction.readers import NO_MATCH, TextReader
from tui_lab.results.extraction.search import all_matches, first_match, last_match
from tui_lab.results.extraction.slow_search import Match
from tui_lab.results.extraction.text import Text, blocks, blocks_backwards
from tui_lab.store.task_files import TaskFile

ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*(?:(?P<move>[ABEFGHJdf])|[@-~])|[\]P^_X][^\x07\x1b\r\n]*(?:\x07|\x1b\\)"
    r"|[ -/]*[0-~])?"
)


def written(folder: Path, raw: bytes) -> TaskFile:
    (folder / "out").write_bytes(raw)
    return TaskFile(str(folder), "out")


def plain_lines(raw: bytes) -> list[str]:
    """How an output is read, as the documentation says it, without any haste."""
    bare = ESCAPE.sub(lambda match: "\n" if match["move"] else "", raw.decode("latin-1")).encode("latin-1")
    lines = re.split("\r\n|\r|\n", bare.decode("utf-8", "replace"))
    return lines if lines[-1] else lines[:-1]


def plain_matches(pattern: Pattern, raw: bytes) -> list[tuple[str, tuple[str | None, ...], tuple[int, int]]]:
    lines = plain_lines(raw)
    texts = ["".join(f"{line}\n" for line in lines)] if pattern.spans else lines
    return [shown(match) for text in texts for match in pattern.regex.finditer(text)]


def shown(match: Match) -> tuple[str, tuple[str | None, ...], tuple[int, int]]:
    return match[0], match.groups(), match.span()


PIECES = st.sampled_from(
    [
        b"loss: ", b"Loss: ", b"LOSS: ", b"loss:", b"acc=", b"0.5", b"-1e-3", b"nan", b"inf", b"12", b" ",
        b"  ", b"\t",
        b"\n", b"\r", b"\r\n", b"\n\n", b"\x1b[31m", b"\x1b[0m", b"\x1b[2K", b"\x1b[1G", b"\x1b[A",
        b"\x1b]0;title\x07",
        b"\x1b", b"\x1b[", b"\x1b(B", b"\x1b]open", "é".encode(), "\u017f".encode(), "\u212a".encode(),
        "µs".encode(),
        "\u2028".encode(), "\u00a0".encode(), "١٢".encode(), "𝟙".encode(), b"\xff", b"\xc3", b"\xe2\x82",
        b"\x00", b"\x0b",
        b"\x1c", b"\x1f", b"\x85", "\u0085".encode(), b"k", b"K", b"s", b"S", b"%", b"a", b"_", b".",
    ]
)  # fmt: skip
OUTPUTS = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=60)

PATTERNS = [
    "loss: (@float@)", "loss: @float@", r"acc=(@float@)\s*$", "^loss: (.*)$", r"(?i)loss: (@float@)",
    "(?i)k(.)s",
    r"(\w+): (\S+)", r"\bs\b", r"(\d+)", r"(?a)(\d+)", "(@int@)", "@quantity@", r"loss: (.)", "é(.?)",
    r"[^a]s", "(.+)",
    "^$", "", r"loss: (@float@)(?: +acc=(@float@))?", "(?:acc|loss)[:=] ?(@slug@)", r"(?<=loss: )(\S+)",
    r"s(?!S)",
    r"(a)|(k)", r"\x1b", r"loss:\s+(@str@)", r"(?s)loss.(.)", r"(?m)^s", "\ufffd", "µ(.)",
    r"(?x) loss: \s (\S+) # value",
    r"l(?:o)(s)\1*: ", r"(?:loss: ){2}", r"(?:loss: )?(@int@)", r"0\.5", "(?i:LOSS): (.)", r"(?-i:loss): ",
    "\u2028", "\u212a",
    r"loss: (@float@)\n", r"(?s)loss: (.*?)acc=(.)", r"\ns", r"^(.*)\r\n(.*)$", r"\r(\d+)", r"l[\s\S]*=", "s\nl",
    r"(?i)S\s*\n+(.)",
    r"s\S", r"[\S]s", r"[^\W\d]+", r"(?>loss: )(.)", r"(?:acc=)++(.)",
]  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(OUTPUTS, st.sampled_from(PATTERNS))
@example(b"loss: 0.5 loss: 1\n", "loss: (@float@)")
@example(b"loss: 0.5\rloss: 1\r\n", "loss: (@float@)")
@example(b"aloss: loss: ", r"(?:loss: ){2}")
@example("\u212a".encode() + b"as", "(?i)k(.)s")
def test_the_same_matches(raw: bytes, written: str) -> None:
    pattern = compile_pattern(written)
    expected = plain_matches(pattern, raw)
    assert [shown(match) for match in all_matches(pattern, Text(raw))] == expected
    last, first = last_match(pattern, Text(raw)), first_match(pattern, Text(raw))
    assert (shown(last) if last else None) == (expected[-1] if expected else None)
    assert (shown(first) if first else None) == (expected[0] if expected else None)


ATOMS = st.sampled_from(
    [
        "l",
        "o",
        "s",
        ":",
        " ",
        ".",
        r"\s",
        r"\S",
        r"\w",
        r"\d",
        "é",
        "K",
        "@float@",
        "@int@",
        "[ls]",
        "[^l]",
        "^",
        "$",
        r"\b",
    ]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{0,1}"])).map(lambda p: f"(?:{p[0]}){p[1]}"),
        inner.map(lambda part: f"({part})"),
        inner.map(lambda part: f"(?={part})"),
        inner.map(lambda part: f"(?i:{part})"),
    ),
    max_leaves=8,
)


@settings(max_examples=800, deadline=None)
@given(st.lists(PIECES, max_size=25).map(b"".join), EXPRESSIONS, st.booleans())
def test_the_same_matches_of_any_pattern(raw: bytes, written: str, any_case: bool) -> None:
    try:
        pattern = compile_pattern(f"(?i){written}" if any_case else written)
    except PatternError:
        return
    expected = plain_matches(pattern, raw)
    assert [shown(match) for match in all_matches(pattern, Text(raw))] == expected
    last = last_match(pattern, Text(raw))
    assert (shown(last) if last else None) == (expected[-1] if expected else None)


@settings(max_examples=300, deadline=None)
@given(raw=OUTPUTS, size=st.integers(1, 30))
def test_blocks_hold_the_same_lines(tmp_path_factory: pytest.TempPathFactory, raw: bytes, size: int) -> None:
    path = written(tmp_path_factory.mktemp("blocks"), raw)
    forward = [line for text in blocks(path, block=size) for line in text.lines]
    backward = [line for text in reversed(list(blocks_backwards(path, block=size))) for line in text.lines]
    assert forward == plain_lines(raw)
    assert backward == plain_lines(raw)


@settings(max_examples=200, deadline=None)
@given(
    raw=OUTPUTS,
    take=st.sampled_from(["last", "first", "min", "max", "mean", "sum", "count"]),
    size=st.integers(4, 40),
)
def test_blocks_give_the_same_value(tmp_path_factory: pytest.TempPathFactory, raw: bytes, take: str, size: int) -> None:
    path = written(tmp_path_factory.mktemp("blocks"), raw)
    reader = TextReader("m", Metric(source=PatternSource(pattern="(@float@)"), take=take))  # type: ignore[arg-type]
    reader.begin()
    for text in blocks(path, block=size):
        reader.feed(text)
    whole, parts = reader.value(Text(raw)), reader.end()
    assert (whole is NO_MATCH) == (parts is NO_MATCH)
    if whole is not NO_MATCH:
        assert parts == pytest.approx(whole, nan_ok=True)


def test_a_torn_last_line_waits(tmp_path: Path) -> None:
    path = written(tmp_path, b"loss: 1\nloss: 1")
    assert [line for text in blocks(path, torn_end=False) for line in text.lines] == ["loss: 1"]
    assert [line for text in blocks_backwards(path, torn_end=False, block=3) for line in text.lines] == ["loss: 1"]
