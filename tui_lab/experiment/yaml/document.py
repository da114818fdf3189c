"""A YAML document as a tree that knows where everything stands in the file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, Literal

from tui_lab.experiment.yaml.problem import Problem

Keypath = Sequence[str | int]

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_BLANK: Final = frozenset(" \t\r\n\x85\u2028\u2029")
MAX_DIGITS: Final = 1000  # of a number; Python turns none with more than 4,300 into text
_ESCAPE_DIGITS: Final = {"x": 2, "u": 4, "U": 8}
_PROPERTIES: Final = re.compile(r"(?:[&!]\S*\s+)*")  # an anchor and a tag before a value
_CUT: Final = re.compile(r"[ \t]+#")


class Text:
    """A text and its lines."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = [0, *(m.end() for m in _LINE_END.finditer(source))]

    def place(self, index: int) -> tuple[int, int]:
        """Line and column of a character, both from 1."""
        index = min(max(index, 0), len(self.source))
        line = bisect_right(self.starts, index)
        return line, index - self.starts[line - 1] + 1

    def line_at(self, index: int) -> str:
        """The whole line that holds a character, without its end."""
        line = self.place(index)[0]
        end = self.starts[line] if line < len(self.starts) else len(self.source)
        return self.source[self.starts[line - 1] : end].rstrip("\r\n")

    def line_start(self, index: int) -> int:
        """Return the index of the first character of the line that holds an index."""
        return self.starts[self.place(index)[0] - 1]


class Node:
    """One value of the document. `text` is a scalar as written, `value` what it means."""

    __slots__ = ("end", "entries", "items", "kind", "open", "size", "start", "style", "text", "value")

    def __init__(
        self,
        kind: Literal["scalar", "list", "mapping"],
        start: int,
        end: int,
        style: str | None = None,
        text: str = "",
    ) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.style = style
        self.text = text
        self.value: bool | int | float | str | None = None
        self.items: list[Node] = []
        self.entries: dict[str, tuple[Node, Node]] = {}
        self.size = 1
        self.open = True

    def plain(self) -> Any:
        """The value in Python's terms: None, bool, int, float, str, list or dict with text keys."""
        if self.kind == "list":
            return [item.plain() for item in self.items]
        if self.kind == "mapping":
            return {name: value.plain() for name, (_, value) in self.entries.items()}
        return self.value


class Document:
    """A YAML file: its tree, and what is wrong with it as YAML. `root` is None for an empty file."""

    def __init__(self, text: Text, file: str, root: Node | None, problems: list[Problem]) -> None:
        self.text = text
        self.file = file
        self.root = root
        self.problems = problems

    @property
    def value(self) -> Any:
        """The document as plain Python values, None where it is empty."""
        return None if self.root is None else self.root.plain()

    def find(self, keypath: Keypath) -> tuple[Node | None, Node | None, bool]:
        """Key node, value node, and whether the whole path exists; else of its longest part."""
        key: Node | None = None
        node = self.root
        for step in keypath:
            if node is None:
                return key, node, False
            if node.kind == "mapping" and str(step) in node.entries:
                key, node = node.entries[str(step)]
            elif node.kind == "list" and isinstance(step, int) and 0 <= step < len(node.items):
                key, node = None, node.items[step]
            else:
                return key, node, False
        return key, node, node is not None

    def node(self, keypath: Keypath) -> Node | None:
        """The value at a path, or None if the document has no such path."""
        _, node, whole = self.find(keypath)
        return node if whole else None

    def place(self, keypath: Keypath, *, offset: int | None = None, at_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of a value, of a character in it (`offset`), or of its key (`at_key`).

        A value that is left empty stands at its key. A path that does not exist is cut until it does.
        """
        key, node, whole = self.find(keypath)
        if node is None:
            return 1, 1
        if whole and key is not None and (at_key or node.start == node.end):
            return self.text.place(key.start)
        if whole and offset is not None and node.kind == "scalar":
            return self.text.place(self.index(node, offset))
        return self.text.place(node.start)

    def path_at(self, line: int, column: int) -> list[str | int]:
        """Return the path of the innermost value at a place, or of the one whose key stands there. The place where the
        document begins means the document."""
        path: list[str | int] = []
        node = self.root
        index = self.text.starts[line - 1] + column - 1
        if node is None or index <= node.start:
            return path
        while True:
            parts = [(key.start, name, value) for name, (key, value) in node.entries.items()]
            parts += [(item.start, number, item) for number, item in enumerate(node.items)]  # type: ignore[misc]
            before = [part for part in parts if part[0] <= index]
            if not before or index >= node.end:
                return path
            _, step, node = before[-1]
            path.append(step)

    def source_of(self, node: Node) -> str:
        """The text of a node as the file has it."""
        return self.text.source[node.start : node.end].rstrip()

    def is_bare_set(self, node: Node) -> bool:
        """Whether a mapping is nothing but words in braces: `{a, b}`, which YAML takes for keys without values."""
        return node.kind == "mapping" and bool(node.entries) and ":" not in self.source_of(node)

    def cut_by_comment(self, node: Node) -> bool:
        """Whether an unquoted scalar ends where YAML sees a comment (` #`), which may be part of the text."""
        return node.kind == "scalar" and node.style is None and _CUT.match(self.text.source, node.end) is not None

    def index(self, node: Node, offset: int) -> int:
        """Where in the file the character at `offset` of a scalar's text stands.

        Walks text and source side by side, so it holds for quotes, escapes, folded lines and block scalars.
        """
        source = self.text.source
        at = _PROPERTIES.match(source, node.start, node.end).end()  # type: ignore[union-attr]
        if node.style in ("'", '"'):
            at += 1
        elif node.style in ("|", ">"):  # the text begins after the line of the indicator
            at = _after_line(source, at)
        end = node.end - 1 if node.style in ("'", '"') else node.end
        for position, char in enumerate(node.text):
            here, after = _match(source, at, end, char, node.style)
            if position >= offset:
                return min(here, end)
            at = after
        return min(at, end)


def _after_line(source: str, at: int) -> int:
    found = _LINE_END.search(source, at)
    return found.end() if found else len(source)


def _match(source: str, at: int, end: int, char: str, style: str | None) -> tuple[int, int]:
    """Where the next character of a scalar's text stands, and where to go on."""
    start = at
    while at < end:
        here = source[at]
        if style == '"' and here == "\\" and at + 1 < end:
            if source[at + 1] in "\r\n":  # an escaped line end joins two lines
                at = _after_line(source, at)
                while at < end and source[at] in " \t":
                    at += 1
                start = at
                continue
            return at, at + 2 + _ESCAPE_DIGITS.get(source[at + 1], 0)
        if style == "'" and char == "'" and here == "'":
            return at, at + 2
        if here == char:
            return at, at + 1
        if here not in _BLANK:
            break
        at += 1
    if char in _BLANK:  # a folded line end: all blanks of the source stand for it
        after = start
        while after < end and source[after] in _BLANK:
            after += 1
        return start, after
    return at, at + 1
