"""Reads values of a document by their path, and collects what is wrong with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tui_lab.experiment.yaml.document import Document, Node, Text
from tui_lab.experiment.yaml.edit import Edit, single_quoted
from tui_lab.experiment.yaml.problem import Problem, Suggestion, suggest

Keypath = tuple[str | int, ...]
QUOTE = "put the value in single quotes"
MOST: Final = 10**9  # of what a key counts, where nothing else bounds it
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*|\{[^{}\n]*\}|\[[^\[\]\n]*\]|@\w+@")
"""What is written alike in every style of YAML: a name, a placeholder, a shorthand."""


def described(node: Node) -> str:
    """What a value is, for the user: `text ("ten")`, `a list`, `the number 1.5`."""
    if node.kind != "scalar":
        return f"a {node.kind}"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, str):
        return f'text ("{shortened(node.text)}")'
    if isinstance(node.value, bool):
        return node.text
    return f"the number {shortened(node.text)}"


def shortened(text: str, length: int = 40) -> str:
    """One line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def _word_edit(text: Text, index: int, hint: Suggestion) -> Edit | None:
    """The change that puts the word that was meant into the place of another, if that stands there as it is."""
    index += text.source[index : index + 1] in ("'", '"')
    end = index + len(hint.wrong)
    here = text.source[index:end].casefold() == hint.wrong.casefold()
    goes_on = re.match(r"\w\w", text.source[end - 1 : end + 1]) is not None
    return Edit(index, end, hint.meant) if here and not goes_on and _WORD.fullmatch(hint.meant) else None


def title(path: Keypath) -> str:
    """How a message calls the value at `path`: its own key, or the key of the list that holds it."""
    keys = [step for step in path if isinstance(step, str)]
    name = f'"{keys[-1]}"' if keys else "the file"
    return f"an item of {name}" if path and isinstance(path[-1], int) else name


class Reader:
    """Reads one document. The methods give None where the value is wrong, after noting the problem."""

    def __init__(self, document: Document, folder: Path) -> None:
        self.document = document
        self.folder = folder  # where relative paths start
        self.problems: list[Problem] = list(document.problems)

    def add(
        self,
        path: Keypath,
        message: str,
        hint: str = "",
        *,
        offset: int | None = None,
        at_key: bool = False,
        fix: Edit | None = None,
    ) -> None:
        """Note a problem, unless YAML itself was already unhappy at that place. fix: what the hint suggests, where that
        is not another word."""
        problem = self.problem(path, message, hint, offset=offset, at_key=at_key, fix=fix)
        if all((p.line, p.column) != (problem.line, problem.column) for p in self.document.problems):
            self.problems.append(problem)

    def problem(
        self,
        path: Keypath,
        message: str,
        hint: str = "",
        *,
        offset: int | None = None,
        at_key: bool = False,
        fix: Edit | None = None,
    ) -> Problem:
        """A problem at the value under `path`, at a character in it, or at its key."""
        line, column = self.document.place(path, offset=offset, at_key=at_key)
        if fix is None and isinstance(hint, Suggestion):
            text = self.document.text
            fix = _word_edit(text, text.starts[line - 1] + column - 1, hint)
        return Problem(self.document.file, line, column, message, hint, fix)

    def node(self, path: Keypath) -> Node:
        """Return the node at a path, which must exist."""
        node = self.document.node(path)
        assert node is not None, path
        return node

    def has(self, path: Keypath) -> bool:
        """Return whether there is a node at a path."""
        return self.document.node(path) is not None

    def empty(self, path: Keypath) -> bool:
        """Whether the value is absent or null."""
        node = self.document.node(path)
        return node is None or (node.kind == "scalar" and node.value is None)

    def plain(self, path: Keypath) -> Any:
        """Return the value at a path as plain Python values."""
        return self.node(path).plain()

    def keys(self, path: Keypath) -> tuple[str, ...]:
        """Keys of the mapping at `path`; none where there is no mapping."""
        node = self.document.node(path)
        return tuple(node.entries) if node is not None and node.kind == "mapping" else ()

    # --- Wrong kinds

    def wrong(self, path: Keypath, wanted: str) -> None:
        """Note that the value is of another kind than `wanted`."""
        node = self.node(path)
        if self._unhappy_within(node):
            return
        if node.kind == "scalar" and node.value is None:
            self.add(path, f"{title(path)} has no value", f"it takes {wanted}")
        else:
            self.add(path, f"{title(path)} must be {wanted}, not {described(node)}")

    def _unhappy_within(self, node: Node) -> bool:
        first = self.document.text.place(node.start)
        last = self.document.text.place(node.end)
        return any(first <= (p.line, p.column) <= last for p in self.document.problems)

    def misread(self, path: Keypath) -> bool:
        """Notes it if YAML made a list or mapping of what looks like the text `{x}` or `[x]`."""
        node = self.node(path)
        source = self.document.source_of(node)
        if node.kind == "scalar" or source[:1] not in ("{", "["):
            return False
        inner = [value for _, value in node.entries.values()] if node.kind == "mapping" else []
        if node.kind == "mapping" and not all(n.kind == "scalar" and n.value is None for n in inner):
            return False
        if not self._unhappy_within(node):
            shown = shortened(source)
            hint = f"put it in single quotes: '{shown}'"
            fix = None
            if "\n" not in source and self.document.text.source.startswith(source, node.start):
                fix = Edit(node.start, node.start + len(source), single_quoted(source))
            self.add(path, f"YAML reads {shown} as a {node.kind}, not as text", hint, fix=fix)
        return True

    # --- Scalars

    def text(self, path: Keypath, *, blank: bool = False) -> str | None:
        """A text; a number or true is taken as written."""
        node = self.node(path)
        if node.kind != "scalar":
            if not self.misread(path):
                self.wrong(path, "text")
            return None
        if node.value is None and not blank:
            self.wrong(path, "text")
            return None
        if not blank and not node.text.strip():
            self.add(path, f"{title(path)} is empty")
            return None
        if "\0" in node.text:
            self.add(path, "a NUL character can't stand here", offset=node.text.index("\0"))
            return None
        return "" if node.value is None else node.text

    def optional_text(self, path: Keypath) -> str | None:
        """A text, or None where there is none."""
        return None if self.empty(path) else self.text(path)

    def whole(self, path: Keypath, least: int | None = None, most: int | None = MOST) -> int | None:
        """A whole number, not below `least` or above `most`."""
        node = self.node(path)
        if type(node.value) is not int:
            self.wrong(path, "a whole number")
            return None
        if least is not None and node.value < least:
            self.add(path, f"{title(path)} must be at least {least}, not {node.text}")
            return None
        if most is not None and node.value > most:
            self.add(path, f"{title(path)} must be at most {most:,}, not {node.text}")
            return None
        return node.value

    def number(self, path: Keypath) -> int | float | None:
        """A finite number, not too large for a float."""
        node = self.node(path)
        if not isinstance(node.value, int | float) or isinstance(node.value, bool):
            self.wrong(path, "a number")
            return None
        try:
            finite = math.isfinite(node.value)
        except OverflowError:
            self.add(path, f"{title(path)} is too large: {shortened(node.text)}", "numbers go up to 1.8e308")
            return None
        if not finite:
            self.add(path, f"{title(path)} must be a finite number, not {node.text}")
            return None
        return node.value

    def boolean(self, path: Keypath) -> bool | None:
        """True or false."""
        node = self.node(path)
        if not isinstance(node.value, bool):
            self.wrong(path, "true or false")
            return None
        return node.value

    def one_of(self, path: Keypath, words: Sequence[str], more: str = "") -> Any:
        """One of some words. more: what else could stand there."""
        node = self.node(path)
        listed = ", ".join([*(word if word[0].isalnum() else f'"{word}"' for word in words), *([more] if more else [])])
        if node.kind != "scalar" or node.value is None:
            self.wrong(path, f"one of {listed}")
            return None
        if node.text not in words:
            hint = suggest(node.text, words) or f"it takes one of {listed}"
            owner = title(path).removeprefix("an item of ")
            self.add(path, f'"{shortened(node.text)}" is no value of {owner}', hint)
            return None
        return node.text

    # --- Collections

    def items(self, path: Keypath) -> list[Keypath]:
        """Paths of a list's items, or the path itself where a single value stands for a list of one."""
        node = self.node(path)
        return [(*path, i) for i in range(len(node.items))] if node.kind == "list" else [path]

    def texts(self, path: Keypath) -> tuple[str, ...]:
        """A list of texts, or one text; what is wrong is noted and left out."""
        if self.empty(path):
            return ()
        found = (self.text(item) for item in self.items(path))
        return tuple(text for text in found if text is not None)

    def is_mapping(self, path: Keypath, wanted: str = "a mapping") -> bool:
        """Return whether there is a mapping at a path; else that is noted. wanted: what the message asks for."""
        if self.node(path).kind == "mapping":
            return True
        self.wrong(path, wanted)
        return False

    def fields(self, path: Keypath, known: Iterable[str], owner: str) -> tuple[str, ...]:
        """The known keys of a mapping; the others are noted."""
        known = tuple(known)
        for key in self.keys(path):
            if key not in known:
                hint = suggest(key, known) or f"it takes {', '.join(known)}"
                self.add((*path, key), f'"{key}" is no key of {owner}', hint, at_key=True)
        return tuple(key for key in self.keys(path) if key in known)
