"""YAML 1.2's core schema over PyYAML's events, with the place of everything.

    `1e-3` is a number; `on`, `no`, `1:30`, `2026-01-31` and `010` are text; a duplicate key is an error.

Zero-padded numbers are always text (they are names of things, such as run 007). Keys are always text, as
written. Anchors, aliases and merge keys (`<<`) work; tags beyond the core schema, recursive aliases and
files that aliases blow up are errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from tui_lab.experiment.yaml.document import MAX_DIGITS, Document, Node, Text
from tui_lab.experiment.yaml.edit import Edit, single_quoted
from tui_lab.experiment.yaml.problem import Problem, SpecError

# --- What the errors of PyYAML's two parsers mean, in plain words: libyaml's, and the one in Python
QUOTE: Final = "put the value in single quotes"

# indentation and list dashes, then perhaps a key, then the first character of the value
_VALUE: Final = re.compile(r"""[ \t]*(?:-[ \t]+)*(?:(?:"[^"]*"|'[^']*'|[^\s"'#{}\[\],][^#]*?)[ \t]*:[ \t]+)?(\S)""")
_LEADING: Final = frozenset("@`%{[*&!|>")  # what YAML reads as its own at the start of a value


def explain(error: yaml.YAMLError, text: Text, file: str) -> Problem:
    """One problem, with a place and a way out, from an error of the YAML parser."""
    problem = str(getattr(error, "problem", None) or "")
    context = str(getattr(error, "context", None) or "")
    at = _index(getattr(error, "problem_mark", None), text)
    opened = _index(getattr(error, "context_mark", None), text, at)
    index, message, hint = _words(problem, context, at, opened, text)
    fix = _quoted(text, text.line_start(index)) if hint.startswith(QUOTE) else None
    return Problem(file, *text.place(index), message, hint, fix)


def _quoted(text: Text, start: int) -> Edit | None:
    """The change that puts the value of a line into single quotes, if the line can be read then."""
    line = text.line_at(start)
    found = _VALUE.match(line)
    if found is None or "'" in found[1]:
        return None
    value = re.split(r"\s+#", line[found.start(1) :])[0].rstrip()
    edit = Edit(start + found.start(1), start + found.start(1) + len(value), single_quoted(value))
    try:
        for event in yaml.parse(line[: found.start(1)].lstrip() + edit.text, Loader=LOADER):
            if isinstance(event, ScalarEvent) and event.value == value:
                return edit
    except yaml.YAMLError:
        pass
    return None


def read_without_error(error: yaml.YAMLError, text: Text) -> int:
    """How far the parser came: to the beginning of the word that it could not read."""
    at = _index(getattr(error, "problem_mark", None), text)
    if isinstance(error, yaml.scanner.ScannerError):
        return min(at, _index(error.context_mark, text, at))
    return at


def is_depth_bound(error: yaml.YAMLError) -> bool:
    """Whether the parser refuses a text as nested too deep (libyaml since PyYAML 6.0.4: 1000 levels)."""
    return "nesting depth" in str(getattr(error, "problem", None))


def _index(mark: Any, text: Text, default: int = 0) -> int:
    return default if mark is None else min(int(mark.index), len(text.source))


def _words(problem: str, context: str, at: int, opened: int, text: Text) -> tuple[int, str, str]:
    """Index, message and hint."""
    source = text.source
    line = text.line_at(at)
    first = text.line_start(at)
    value = _VALUE.match(line)
    value_at = first + value.start(1) if value else at
    leading = value[1] if value else ""
    here = source[at] if at < len(source) else ""
    if problem.startswith("expected <block end>, but found"):  # the parser in Python
        problem = "did not find expected key"

    if "mapping values are not allowed" in problem:
        if ": " in source[first:at].strip() + " " or value_at < at:
            return at, 'a second ": " in one line, which YAML reads as another key', QUOTE
        hint = "check the indentation, and that the line above is complete"
        return at, "a key, but YAML expects more of the value above", hint
    if "quoted scalar" in context and "end of stream" in problem:
        return opened, "this quote is never closed", "end the text with the same quote"
    if "document indicator" in problem:
        return opened, "this quote is never closed", "end the text with the same quote"
    if "unknown escape" in problem:
        hint = "put the value in single quotes, where a backslash is a backslash"
        at -= here != "\\"  # the parser in Python names the character behind it
        return at, f'"\\{source[at + 1 : at + 2]}" is no escape of YAML\'s double quotes', hint
    if here == "\t" or "tab character" in problem:
        return at, "a tab where YAML wants spaces", "indent with spaces"
    if "cannot start any token" in problem:
        return at, f'a value can\'t begin with "{here}" in YAML', QUOTE
    if "flow sequence" in context or "flow mapping" in context:
        opening = source[opened : opened + 1]
        closing = "]" if "sequence" in context else "}"
        hint = f'close it with "{closing}", or put the value in single quotes if it is text'
        return opened, f'this "{opening}" is not closed as YAML expects', hint
    if leading in ("[", "{") and here == "," and value_at < at and "did not find expected" in problem:
        closing = "]" if leading == "[" else "}"
        hint = f'put what follows before the "{closing}", or the whole value in single quotes if it is text'
        return at, f'a "," after the "{closing}" that closes the value', hint
    if leading in _LEADING and value_at < at and "did not find expected" in problem:
        return value_at, f'YAML gives a value that begins with "{leading}" a meaning of its own', QUOTE
    if leading in ("'", '"') and value_at < at and "did not find expected" in problem:
        return at, "text after the closing quote", "inside single quotes, write a quote twice: ''"
    if "anchor" in context or "alias" in context or "tag" in context or "tag handle" in problem:
        return (
            opened,
            f'YAML gives a value that begins with "{source[opened : opened + 1]}" a meaning of its own',
            QUOTE,
        )
    if "did not find expected key" in problem or "expected '-' indicator" in problem:
        if re.match(r"-(\s|$)", source[at : at + 2]):
            return at, 'a list item where YAML expects "key: value"', "check the indentation"
        return at, "this line does not fit the lines above it", "check the indentation"
    if "expected node content" in problem:
        return at, f'YAML does not expect "{here}" here', "put the value in single quotes if it is text"
    if "could not find expected ':'" in problem:
        return (
            opened,
            'this line is no "key: value"',
            'write a colon and a space after the key, as in "repeat: 3"',
        )
    if "sequence entries are not allowed" in problem:
        return (
            at,
            "a list item can't begin on the line of its key",
            "begin it on the next line, or quote the text",
        )
    if "expected comment or line break" in problem:
        return (
            opened,
            f'YAML gives a value that begins with "{source[opened : opened + 1]}" a meaning of its own',
            QUOTE,
        )
    return at, f"YAML can't read this: {problem or 'it is malformed'}", QUOTE if leading in _LEADING else ""


__all__ = ["Document", "Node", "parse", "read_text", "resolve"]

# PyYAML is also built without libyaml. Its own parser gives the same events, and takes some 20 times as long.
LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

MAX_DEPTH: Final = 64
MAX_ALIAS_GROWTH: Final = 100_000  # nodes that aliases may add to those that the file really has
LARGEST: Final = 16 << 20  # bytes of a file or template

_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS: Final = {w: w.lower() == "true" for w in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_OCTAL: Final = re.compile(r"0o[0-7]+", re.ASCII)
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITY: Final = re.compile(r"([-+]?)(?:\.inf|\.Inf|\.INF)")
_NANS: Final = frozenset((".nan", ".NaN", ".NAN"))
_NUMBER_START: Final = frozenset("0123456789.+-")
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_CORE: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final = frozenset(_CORE + t for t in ("null", "bool", "int", "float", "str"))


def resolve(text: str) -> bool | int | float | str | None:
    """What a plain (unquoted) scalar means. Raises ValueError for a number with over 1000 digits."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INT.fullmatch(text):
        return int(_short(text))
    if _OCTAL.fullmatch(text):
        return int(_short(text)[2:], 8)
    if _HEX.fullmatch(text):
        return int(_short(text)[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(_short(text))
    if infinite := _INFINITY.fullmatch(text):
        return float(f"{infinite[1]}inf")
    return float("nan") if text in _NANS else text


def _short(digits: str) -> str:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number with more than {MAX_DIGITS} digits")
    return digits


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, with or without a byte order mark. Raises SpecError."""
    try:
        with open(path, "rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise SpecError([Problem(str(path), 0, 0, "there is no such file")]) from None
    except IsADirectoryError:
        raise SpecError([Problem(str(path), 0, 0, "this is a folder, not a file")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SpecError([Problem(str(path), 0, 0, f"can't be read: {reason}")]) from None
    if len(raw) > LARGEST:
        raise SpecError([Problem(str(path), 0, 0, f"is larger than {LARGEST >> 20} MiB, the limit for such files")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = Text(raw[: error.start].decode("utf-8-sig", "replace"))
        line, column = before.place(len(before.source))
        message = f"not UTF-8 text (byte 0x{raw[error.start]:02x})"
        raise SpecError([Problem(str(path), line, column, message, "save the file as UTF-8")]) from None


def parse(text: str, file: str) -> Document:
    """Read one YAML document. Raises SpecError where nothing can be made of the text.

    Mistakes that leave the rest readable (duplicate keys, unknown tags) are in `Document.problems`.
    """
    source = Text(text.removeprefix("\ufeff"))
    if bad := _UNPRINTABLE.search(source.source):
        line, column = source.place(bad.start())
        message = f"a control character (U+{ord(bad[0]):04X}) can't stand in YAML"
        raise SpecError([Problem(file, line, column, message, 'write it as an escape in double quotes, "\\x1b"')])
    try:
        return _Composer(source, file).document()
    except yaml.YAMLError as error:
        raise _refusal(error, source, file) from None


def _refusal(error: yaml.YAMLError, source: Text, file: str) -> SpecError:
    """What to say where the parser stumbled.

    It looks ahead, and some versions of it bound the depth themselves, so it may stumble behind a place where this
    module would have stopped. The first error is reported: the text before it is read once more.
    """
    before = Text(source.source[: read_without_error(error, source)])
    composer = _Composer(before, file)
    try:
        composer.document()
    except SpecError as found:
        if composer.too_deep:
            return found
    except yaml.YAMLError as earlier:
        if is_depth_bound(error):
            return SpecError([explain(earlier, before, file)])
    return SpecError([explain(error, source, file)])


def _end(event: Any) -> int:
    index: int = event.end_mark.index
    return index


class _Composer:
    """Builds nodes from the parser's events; one object per text."""

    def __init__(self, source: Text, file: str) -> None:
        self.source = source
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.made = 0
        self.too_deep = False
        self.events = yaml.parse(source.source, Loader=LOADER)

    def next(self) -> Any:  # the stubs give every event's marks and anchor as perhaps missing
        return next(self.events)

    def document(self) -> Document:
        while isinstance(event := self.next(), StreamStartEvent):
            pass
        if isinstance(event, StreamEndEvent):
            return Document(self.source, self.file, None, [])
        root = self.node(self.next(), 0)
        while isinstance(event := self.next(), DocumentEndEvent):
            pass
        if not isinstance(event, StreamEndEvent):
            raise self.fatal(
                event.start_mark.index,
                "a second YAML document begins here, but a file holds one experiment",
                'join them: several sweeps go as a list under "parameters"',
            )
        return Document(self.source, self.file, root, self.problems)

    # --- Problems

    def add(self, index: int, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, *self.source.place(index), message, hint))

    def fatal(self, index: int, message: str, hint: str = "") -> SpecError:
        self.add(index, message, hint)
        return SpecError(self.problems)

    # --- Nodes

    def node(self, event: Any, depth: int) -> Node:
        start = event.start_mark.index
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if depth > MAX_DEPTH:
            self.too_deep = True
            raise self.fatal(start, f"nested more than {MAX_DEPTH} levels deep")
        self.made += 1
        if isinstance(event, ScalarEvent):
            node = Node("scalar", start, _end(event), event.style or None, event.value)
            self.anchor(event, node)
            node.value = self.scalar(event)
        elif isinstance(event, SequenceStartEvent):
            node = Node("list", start, start)
            self.collection_tag(event, "seq")
            self.anchor(event, node)
            while not isinstance(inner := self.next(), SequenceEndEvent):
                item = self.node(inner, depth + 1)
                node.items.append(item)
                node.size += item.size
            node.end = _end(inner)
        else:
            assert isinstance(event, MappingStartEvent)
            node = Node("mapping", start, start)
            self.collection_tag(event, "map")
            self.anchor(event, node)
            node.end = self.mapping(node, depth)
        node.open = False
        if node.size > self.made + MAX_ALIAS_GROWTH:
            raise self.fatal(start, f"aliases make this {node.size} values large", "write fewer aliases")
        return node

    def anchor(self, event: Any, node: Node) -> None:
        if event.anchor is not None:
            self.anchors[event.anchor] = node

    def alias(self, event: Any) -> Node:
        known = self.anchors.get(event.anchor)
        start, end = event.start_mark.index, _end(event)
        if known is not None and not known.open:
            return known
        if known is not None:
            self.add(start, f'the alias "*{event.anchor}" refers to itself')
        else:
            hint = "put the value in single quotes if it is text"
            self.add(start, f'the alias "*{event.anchor}" names no anchor above it', hint)
        return Node("scalar", start, end)

    def mapping(self, node: Node, depth: int) -> int:
        """Fill a mapping's entries; the index where it ends. Merged entries never beat the mapping's own."""
        merged: list[tuple[int, Node]] = []
        own: list[tuple[Node, Node]] = []
        lines: dict[str, int] = {}
        while not isinstance(event := self.next(), MappingEndEvent):
            key = self.node(event, depth + 1)
            value = self.node(self.next(), depth + 1)
            node.size += value.size
            if key.kind != "scalar":
                hint = "put the whole value in single quotes if it is text"
                self.add(key.start, f"a {key.kind} can't be a key", hint)
            elif key.text in lines:
                message = f'"{key.text}" is given twice, the first time in line {lines[key.text]}'
                self.add(key.start, message)
            else:
                lines[key.text] = self.source.place(key.start)[0]
                if key.text == "<<" and key.style is None:
                    merged += [(len(own), m) for m in self.merges(value)]
                else:
                    own.append((key, value))
        names = {key.text for key, _ in own}
        for position in range(len(own) + 1):
            for at, other in merged:
                if at == position:
                    for name, entry in other.entries.items():
                        if name not in names:
                            node.entries.setdefault(name, entry)
            if position < len(own):
                key, value = own[position]
                node.entries[key.text] = (key, value)
        return _end(event)

    def merges(self, value: Node) -> list[Node]:
        sources = value.items if value.kind == "list" else [value]
        for source in sources:
            if source.kind != "mapping":
                self.add(source.start, '"<<" takes a mapping, or a list of mappings', "name one with an alias, *x")
        return [s for s in sources if s.kind == "mapping"]

    # --- Tags

    def scalar(self, event: Any) -> bool | int | float | str | None:
        text: str = event.value
        tag: str | None = event.tag
        start = event.start_mark.index
        if tag is not None and tag != "!" and tag not in _SCALAR_TAGS:
            self.unknown_tag(tag, start)
            tag = None
        if tag in ("!", _CORE + "str") or (tag is None and event.style):
            return text
        try:
            value = resolve(text)
        except ValueError as error:
            self.add(start, str(error), "put it in quotes if it is text")
            return text
        if tag is None:
            return value
        kind = tag.removeprefix(_CORE)
        if kind == "float" and type(value) is int:
            return float(value) if abs(value) < 10**300 else text
        if kind != {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}[type(value)]:
            self.add(start, f'"{text}" is no {kind}')
        return value

    def collection_tag(self, event: Any, own: str) -> None:
        if event.tag not in (None, "!", _CORE + own):
            self.unknown_tag(event.tag, event.start_mark.index)

    def unknown_tag(self, tag: str, start: int) -> None:
        shown = tag.replace(_CORE, "!!")
        hint = "put the value in single quotes if it is text"
        self.add(start, f'"{shown}" is a YAML tag that means nothing here', hint)
