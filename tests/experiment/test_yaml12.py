"""The YAML reader: what scalars mean, where everything stands, and what it says about broken files."""

# ruff: noqa: E501  (messages are asserted whole)

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui_lab.experiment.yaml import parser
from tui_lab.experiment.yaml.parser import MAX_DEPTH, parse, read_text, resolve
from tui_lab.experiment.yaml.problem import SpecError


@pytest.fixture(scope="module", params=["libyaml", "python"], autouse=True)
def loader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Either parser of PyYAML: a build of it may lack libyaml."""
    if request.param == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("this PyYAML was built without libyaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "LOADER", yaml.CSafeLoader if request.param == "libyaml" else yaml.SafeLoader)
        yield


def value(text: str) -> object:
    document = parse(text, "f.yaml")
    assert document.problems == []
    return document.value


def problems(text: str) -> list[str]:
    try:
        return [str(p) for p in parse(text, "f.yaml").problems]
    except SpecError as error:
        return [str(p) for p in error.problems]


# --- What plain scalars mean


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0x1F", "-0x1F"),
        ("0b11", "0b11"),
        ("010", "010"),
        ("-010", "-010"),
        ("007.5", "007.5"),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("1.5e+3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("0.10", 0.1),
        (".", "."),
        ("-", "-"),
        ("1e", "1e"),
        ("e5", "e5"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("+.Inf", math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"),
        ("٣", "٣"),
        ("=", "="),
    ],
)
def test_plain_scalars(text: str, meaning: object) -> None:
    found = resolve(text)
    assert found == meaning
    assert type(found) is type(meaning)


def test_not_a_number() -> None:
    assert all(math.isnan(float(resolve(text))) for text in (".nan", ".NaN", ".NAN"))  # type: ignore[arg-type]


# The core schema's own expressions (YAML 1.2.2, 10.3.2); zero-padded numbers are our one deviation.
CORE = [
    (type(None), r"null|Null|NULL|~|"),
    (bool, r"true|True|TRUE|false|False|FALSE"),
    (int, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    (
        float,
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN",
    ),
]
PADDED = re.compile(r"[-+]?0[0-9]")

scalars = st.one_of(
    st.text(alphabet="0123456789.eE+-xo_:abfnilNtrue~", max_size=8),
    st.from_regex("|".join(pattern for _, pattern in CORE), fullmatch=True).filter(lambda t: len(t) < 200),
    st.text(max_size=8),
)


@given(scalars)
@example("+.5e5")
@example("0o8")
def test_agrees_with_the_core_schema(text: str) -> None:
    expected: object = str
    if not PADDED.match(text):
        expected = next((t for t, pattern in CORE if re.fullmatch(pattern, text, re.ASCII)), str)
    assert type(resolve(text)) is expected


@given(st.integers())
def test_integers_are_exact(number: int) -> None:
    assert resolve(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_exact(number: float) -> None:
    found = resolve(repr(number))
    assert found == number
    assert type(found) is float


def test_quoted_and_block_scalars_are_text() -> None:
    assert value("a: '1'\nb: \"true\"\nc: |\n  1\nd: >-\n  null\n") == {
        "a": "1",
        "b": "true",
        "c": "1\n",
        "d": "null",
    }


def test_core_tags() -> None:
    assert value("a: !!str 1\nb: !!int '3'\nc: !!float 2\nd: ! 5\ne: !!null ''\nf: !!seq [1]\ng: !!map {a: 1}\n") == {
        "a": "1",
        "b": 3,
        "c": 2.0,
        "d": "5",
        "e": None,
        "f": [1],
        "g": {"a": 1},
    }


@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1"))))
@example("a: *a")
@example("&a [*a]")
@example("? [a]\n: b")
@example("!!int x")
@example("<<: 3")
@example("[" * 2000)
@example("a: " + "9" * 5000)
@example("\ud800")
@example("\ufeff\ufeffa: 1")
@example("a: \x85b\u2028c")
@settings(deadline=None)  # the parser in Python takes its time for what is nested deep
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = parse(text, "f.yaml")
        found = document.problems
        document.value  # noqa: B018
    except SpecError as error:
        found = list(error.problems)
        assert found
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    for problem in found:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


# --- Structure


def test_keys_are_text_as_written() -> None:
    assert value("1: a\ntrue: b\n1.50: c\n'q': d\n") == {"1": "a", "true": "b", "1.50": "c", "q": "d"}


def test_anchors_and_merge_keys() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 9, z: 9}\na:\n  <<: *b\n  x: 3\nb: {<<: [*b, *o], w: 0}\n"
    document = value(text)
    assert document["a"] == {"x": 3, "y": 2}  # type: ignore[index]
    assert document["b"] == {"x": 1, "y": 2, "z": 9, "w": 0}  # type: ignore[index]
    assert list(document["b"]) == ["x", "y", "z", "w"]  # type: ignore[index]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert value("'<<': 3") == {"<<": 3}


def test_duplicate_keys() -> None:
    text = "a: 1\nb: {x: 1, x: 2}\n'a': 3\n"
    assert problems(text) == [
        'f.yaml:2:11: "x" is given twice, the first time in line 2',
        'f.yaml:3:1: "a" is given twice, the first time in line 1',
    ]


def test_all_small_mistakes_at_once() -> None:
    text = "a: !color red\nb: *gone\nc: &c [*c]\nd: {[1]: 2}\ne: {<<: 3}\nf: !!int x\n"
    assert problems(text) == [
        'f.yaml:1:4: "!color" is a YAML tag that means nothing here; put the value in single quotes if it is text',
        'f.yaml:2:4: the alias "*gone" names no anchor above it; put the value in single quotes if it is text',
        'f.yaml:3:8: the alias "*c" refers to itself',
        "f.yaml:4:5: a list can't be a key; put the whole value in single quotes if it is text",
        'f.yaml:5:9: "<<" takes a mapping, or a list of mappings; name one with an alias, *x',
        'f.yaml:6:4: "x" is no int',
    ]


def test_aliases_can_not_blow_up_a_file() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 30):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    assert problems("\n".join(lines)) == ["f.yaml:5:5: aliases make this 111111 values large; write fewer aliases"]


def nested(levels: int) -> dict[str, tuple[str, int, int]]:
    """Texts of so many levels, each with line and column of the first level beyond the bound."""
    first = MAX_DEPTH + 1  # levels count from 0
    return {
        "lists": ("[" * levels, 1, first + 1),
        "closed": ("[" * levels + "]" * levels, 1, first + 1),
        "a list a line": ("[\n" * levels, first + 1, 1),
        "mappings": ("{a: " * levels, 1, 4 * MAX_DEPTH + 2),
        "dashes": ("- " * levels + "x", 1, 2 * first + 1),
        "questions": ("? " * levels + "x", 1, 2 * first + 1),
        "keys": ("".join(f"{' ' * level}a:\n" for level in range(min(levels, 3000))), first, first),
        "dashes, then lists": ("- " * 60 + "[" * levels, 1, 120 + first - 60 + 1),
        "a key before": ("a: 1\nb: " + "[" * levels, 2, 3 + first),
    }


@pytest.mark.parametrize("levels", [MAX_DEPTH + 2, 999, 1001, 100_000])
@pytest.mark.parametrize("kind", nested(1))
def test_depth_is_bounded(kind: str, levels: int) -> None:
    """Also where the parser has a bound of its own (1000 in PyYAML 6.0.4), or looks ahead and stumbles behind ours."""
    text, line, column = nested(levels)[kind]
    assert problems(text) == [f"f.yaml:{line}:{column}: nested more than {MAX_DEPTH} levels deep"]


def test_depth_is_told_before_what_stands_behind_it() -> None:
    said = f"f.yaml:1:{MAX_DEPTH + 2}: nested more than {MAX_DEPTH} levels deep"
    for behind in ("@", "%", "'never closed", '"\\d"', "}", "*nothing", "\n\t- x"):
        assert problems("[" * 100 + behind) == [said]
    assert problems("a: 1\na: 2\nb: " + "[" * 5000) == [
        'f.yaml:2:1: "a" is given twice, the first time in line 1',
        f"f.yaml:3:{MAX_DEPTH + 4}: nested more than {MAX_DEPTH} levels deep",
    ]


def test_a_mistake_above_the_bound_is_told_as_ever() -> None:
    deep = "[" * (MAX_DEPTH + 1)
    assert problems(deep + "@") == [
        f'f.yaml:1:{MAX_DEPTH + 2}: a value can\'t begin with "@" in YAML; put the value in single quotes'
    ]
    key = '2:1: this line is no "key: value"; write a colon and a space after the key, as in "repeat: 3"'
    assert problems("a: 1\n" + "[" * 5000) == [f"f.yaml:{key}"]
    assert problems("a: @x\nb: " + "[" * 5000) == [
        'f.yaml:1:4: a value can\'t begin with "@" in YAML; put the value in single quotes'
    ]


def test_as_deep_as_the_bound_is_read() -> None:
    inner: object = []
    for _ in range(MAX_DEPTH):
        inner = [inner]
    assert value("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == inner


def test_numbers_are_bounded() -> None:
    assert problems("a: " + "9" * 5000) == [
        "f.yaml:1:4: a number with more than 1000 digits; put it in quotes if it is text"
    ]


def test_second_document() -> None:
    assert problems("a: 1\n---\nb: 2\n") == [
        (
            "f.yaml:2:1: a second YAML document begins here, but a file holds one experiment; "
            'join them: several sweeps go as a list under "parameters"'
        )
    ]
    assert value("%YAML 1.2\n---\na: 1\n...\n") == {"a": 1}


# --- Syntax errors, in words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "acc: Test: (@float@)",
            '1:10: a second ": " in one line, which YAML reads as another key; put the value in single quotes',
        ),
        ("acc: @float@ x", '1:6: a value can\'t begin with "@" in YAML; put the value in single quotes'),
        ("acc: `x`", '1:6: a value can\'t begin with "`" in YAML; put the value in single quotes'),
        ("acc: %d", '1:6: a value can\'t begin with "%" in YAML; put the value in single quotes'),
        (
            "command: [flag] ./main",
            '1:10: YAML gives a value that begins with "[" a meaning of its own; put the value in single quotes',
        ),
        (
            "a: 1\nsteps:\n  train: {x} ./main",
            '3:10: YAML gives a value that begins with "{" a meaning of its own; put the value in single quotes',
        ),
        (
            "x: [1]  , 2",
            (
                '1:9: a "," after the "]" that closes the value; '
                'put what follows before the "]", or the whole value in single quotes if it is text'
            ),
        ),
        (
            "acc: *x y",
            '1:6: YAML gives a value that begins with "*" a meaning of its own; put the value in single quotes',
        ),
        ("a: 'it's'", "1:8: text after the closing quote; inside single quotes, write a quote twice: ''"),
        ("a: 'x\nb: 1\n", "1:4: this quote is never closed; end the text with the same quote"),
        (
            'a: "\\d+"',
            (
                '1:5: "\\d" is no escape of YAML\'s double quotes; '
                "put the value in single quotes, where a backslash is a backslash"
            ),
        ),
        ("a:\n\tb: 1", "2:1: a tab where YAML wants spaces; indent with spaces"),
        (
            "a: [1, 2\nb: 3\n",
            '1:4: this "[" is not closed as YAML expects; close it with "]", or put the value in single quotes if it is text',
        ),
        (
            "a: 1\n b: 2\n",
            (
                "2:3: a key, but YAML expects more of the value above; "
                "check the indentation, and that the line above is complete"
            ),
        ),
        ("a: b\n- c", '2:1: a list item where YAML expects "key: value"; check the indentation'),
        (
            "a: 1\nfoo\n",
            '2:1: this line is no "key: value"; write a colon and a space after the key, as in "repeat: 3"',
        ),
        (
            "a: - b",
            "1:4: a list item can't begin on the line of its key; begin it on the next line, or quote the text",
        ),
        ("a:\n  b: 1\n c: 2\n", "3:2: this line does not fit the lines above it; check the indentation"),
        (
            "a: \x1b[0m",
            '1:4: a control character (U+001B) can\'t stand in YAML; write it as an escape in double quotes, "\\x1b"',
        ),
    ],
)
def test_syntax_errors(text: str, said: str) -> None:
    assert problems(text) == [f"f.yaml:{said}"]


# --- Places


def place(text: str, *keypath: str | int, offset: int | None = None, at_key: bool = False) -> tuple[int, int]:
    return parse(text, "f.yaml").place(keypath, offset=offset, at_key=at_key)


def test_places_of_keys_and_values() -> None:
    text = "é: {b: [1, x]}\r\nc:\r\n  - d: 2\r\ne:\n"
    assert place(text, "é", "b", 1) == (1, 12)
    assert place(text, "é", "b", at_key=True) == (1, 5)
    assert place(text, "c", 0, "d") == (3, 8)
    assert place(text, "c", 0, "d", at_key=True) == (3, 5)
    assert place(text, "e") == (4, 1)  # left empty: its key
    assert place(text, "c", 7, "x") == (3, 3)  # cut to what exists
    assert place(text, "nothing") == (1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "a: one <here>",
        "a: 'one <here>'",
        'a: "one <here>"',
        "a: 'it''s <here>'",
        'a: "\\t\\x41\\u00e9 <here>"',
        'a: "one \\\n   <here>"',
        "a: one\n  two\n\n  <here>",
        "a: |\n  one\n    two <here>\n",
        "a: >-\n  one\n  two\n\n  <here>\n",
        "a: |2  # comment\n    one\n   <here>\n",
        "a: 'one\n\n   two <here>'",
        "a: one\r\n  <here>\r\n",
        "k: 1\na: é𝄞 <here>",
        "- &x !!str <here>",
    ],
)
def test_places_inside_values(text: str) -> None:
    document = parse(text, "f.yaml")
    keypath = ("a",) if "a:" in text else (0,)
    node = document.node(keypath)
    assert node is not None
    found = document.place(keypath, offset=node.text.index("<here>"))
    line = re.split(r"\r\n|\n", text[: text.index("<here>")])
    assert found == (len(line), len(line[-1]) + 1)


@given(st.text(), st.sampled_from(["|\n  ", ">\n  ", "'", '"', ""]), st.integers(-3, 200))
def test_any_offset_has_a_place_in_the_value(text: str, style: str, offset: int) -> None:
    body = text.replace("\n", "\n  ") if style[:1] in ("|", ">") else text
    source = f"a: {style}{body}{style if style in ('', chr(39), chr(34)) else ''}"
    try:
        document = parse(source, "f.yaml")
    except SpecError:
        return
    if not isinstance(document.value, dict):
        return
    for key in document.value:
        node = document.node((key,))
        assert node is not None
        start, end = document.text.place(node.start), document.text.place(node.end)
        keys = document.place((key,), at_key=True)
        assert min(start, keys) <= document.place((key,), offset=offset) <= max(end, keys)


# --- Files


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read_text(path)
    (problem,) = caught.value.problems
    return str(problem).removeprefix(str(path))


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    assert refused(path) == ": there is no such file"
    assert refused(tmp_path) == ": this is a folder, not a file"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert value(read_text(path)) == {"a": 1}
    path.write_bytes("a: 1\nb: é".encode("latin-1"))
    assert refused(path) == ":2:4: not UTF-8 text (byte 0xe9); save the file as UTF-8"
    path.write_bytes("a: 1".encode("utf-16"))
    assert refused(path) == ":1:1: not UTF-8 text (byte 0xff); save the file as UTF-8"
    assert refused(tmp_path / "a\0b") == ": can't be read: embedded null byte"
