"""Completions at a place in the text of an experiment: keys, words, parameters, files.

The text is not parsed: while it is typed it is no YAML. The indentation of the lines above says in which mapping the
place is, and brackets say it within a line. Any text is fine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tui_lab.experiment import completions
from tui_lab.experiment.model import BUILT_IN, Experiment
from tui_lab.store.layout import LAB_FILE
from tui_lab.tui.widgets.completion.candidates import MOST, Candidate, Completion, matching

_FILES: Final = 300
"""Most files beside the experiment's that are offered."""
_LEFT_OUT: Final = ("__pycache__", "node_modules")

_KEY: Final = re.compile(r"""("[^"\n]*"|'[^'\n]*'|[^\s#'"\[\]{},&*!|>%@`:-][^\s:#]*)[ ]*:(?=[ \t]|\Z)""")
_DASHES: Final = re.compile(r"(?:-[ \t]+)*(?:-\Z)?")
_BLOCK: Final = re.compile(r"[ \t]*[|>][-+0-9]*[ \t]*(?:#.*)?\Z")
_PLACEHOLDER: Final = re.compile(r"(?<![\\$\w])[{\[]([A-Za-z_][\w.-]*)?\Z")
_WORD: Final = re.compile(r"[\w.-]*\Z")
_FILE: Final = re.compile(r"""(?:^|[\s'"=,\[<>])([\w.][\w./+-]*)\Z""")
_VALUES: Final = (("parameters",), ("defaults",))
"""Keys in whose values braces mean nothing."""
_LINES: Final = 2000
"""Lines above a place that are read."""


@dataclass(frozen=True)
class Known:
    """What only the file and its folder can say: names of parameters, and files beside it."""

    parameters: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def known(experiment: Experiment | None, folder: Path) -> Known:
    """Return what the text of an experiment and its folder have to be completed. For a thread worker."""
    names: tuple[str, ...] = ()
    if experiment is not None:
        swept = [name for sweep in experiment.parameters for name in sweep]
        names = tuple(dict.fromkeys((*swept, *experiment.defaults, *experiment.derive)))
    return Known(names, files_beside(folder))


def files_beside(folder: Path) -> tuple[str, ...]:
    """Return the files in a folder and those one level further in. For a thread worker."""
    found: list[str] = []
    folders = [folder]
    for here in folders:
        with suppress(OSError), os.scandir(here) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith(".") or entry.name in _LEFT_OUT or len(found) >= _FILES:
                    continue
                if entry.is_file():
                    found.append(entry.name if here is folder else f"{here.name}/{entry.name}")
                elif here is folder and entry.is_dir() and not (Path(entry.path) / LAB_FILE).exists():
                    folders.append(Path(entry.path))
    return tuple(found)


@dataclass(frozen=True)
class Place:
    """A place in the text. `path` is that of the mapping where a key is typed, else that of the value."""

    path: tuple[str | int, ...]
    is_key: bool
    typed: str
    """The key or the value as far as it is before the place."""
    is_text: bool = False
    """Whether the value is a text in which brackets mean nothing to YAML."""
    in_line: bool = False
    """Whether it is inside brackets."""
    others: frozenset[str] = frozenset()
    """Other keys of the mapping."""
    indent: int = 0


def place_at(lines: Sequence[str], row: int, column: int) -> Place:
    """Return what is typed at a line and a column, both from 0."""
    line = lines[row]
    content = len(line) - len(line.lstrip(" ")) if line.strip() else column
    above, block = _above(lines, row, min(content, column))
    if block:
        return Place(above, False, line[:column].lstrip(), is_text=True)
    before = line[:column]
    dashes = _DASHES.match(line, min(content, column))
    start = min(dashes.end() if dashes else content, column)
    path = above + (0,) * before[content:start].count("-")
    key = _KEY.match(line, start)
    if key is None or column < key.end():
        typed = before[start:]
        if typed[:1] in ("{", "["):
            return _in_brackets(path, typed)
        return Place(path, True, typed, others=_others(lines, row, start), indent=start)
    path = (*path, key[1].strip("\"'"))
    typed = before[key.end() :].lstrip()
    if typed[:1] in ("{", "["):
        return _in_brackets(path, typed)
    if _BLOCK.match(before[key.end() :]):
        return Place(path, False, "", is_text=False)
    return Place(path, False, typed, is_text=bool(typed))


def _above(lines: Sequence[str], row: int, limit: int) -> tuple[tuple[str | int, ...], bool]:
    """The path of the mapping or list in which a line is, and whether it is a line of a text instead."""
    path: list[tuple[str | int, bool]] = []
    dashed = lines[row][limit : limit + 1] == "-"
    for line in reversed(lines[max(row - _LINES, 0) : row]):
        if limit <= 0 and not dashed:
            break
        text = line.lstrip(" ")
        at = len(line) - len(text)
        if not text or text.startswith("#") or at > limit:
            continue
        dashes = _DASHES.match(line, at)
        start = dashes.end() if dashes else at
        has_dash = start > at
        key = _KEY.match(line, start)
        if key is not None and (start < limit or (start == limit and dashed and not has_dash)):
            path.append((key[1].strip("\"'"), _BLOCK.match(line, key.end()) is not None))
            limit, dashed = start, False
        for place in reversed([i for i in range(at, start) if line[i] == "-"]):
            if place < limit:
                path.append((0, False))
                limit, dashed = place, True
    path.reverse()
    for depth, (_, opens_text) in enumerate(path):
        if opens_text:
            return tuple(step for step, _ in path[: depth + 1]), True
    return tuple(step for step, _ in path), False


def _others(lines: Sequence[str], row: int, indent: int) -> frozenset[str]:
    """The keys of the lines around one that are in the same mapping."""
    found: set[str] = set()
    for part in (reversed(lines[max(row - _LINES, 0) : row]), lines[row + 1 : row + _LINES]):
        for line in part:
            text = line.lstrip(" ")
            at = len(line) - len(text)
            if text and not text.startswith("#") and at < indent:
                break
            if at == indent and (key := _KEY.match(line, at)):
                found.add(key[1].strip("\"'"))
    return frozenset(found)


def _in_brackets(path: tuple[str | int, ...], typed: str) -> Place:
    """Where the end of a text is that begins with a bracket."""
    levels: list[tuple[str, str]] = []  # each bracket with the key that is open in it
    names: list[set[str]] = []
    quote, word = "", 0
    for i, one in enumerate(typed):
        if quote:
            quote = "" if one == quote else quote
        elif one in "'\"" and not typed[word:i].strip():
            quote = one
        elif one in "{[":
            levels.append((one, ""))
            names.append(set())
            word = i + 1
        elif one in "}]" and levels:
            levels.pop()
            names.pop()
            word = i + 1
        elif levels and one == ",":
            levels[-1] = (levels[-1][0], "")
            word = i + 1
        elif levels and one == ":" and levels[-1] == ("{", "") and typed[i + 1 : i + 2] in ("", " "):
            key = typed[word:i].strip().strip("\"'")
            levels[-1] = ("{", key)
            names[-1].add(key)
            word = i + 1
    rest = typed[word:].lstrip()
    if not levels:
        return Place(path, False, rest, is_text=True)
    path = path + tuple(key if bracket == "{" else 0 for bracket, key in levels if bracket == "[" or key)
    is_key = levels[-1] == ("{", "")
    return Place(path, is_key, rest, is_text=bool(quote), in_line=True, others=frozenset(names[-1]))


def complete(text: str, index: int, known: Known) -> Completion:
    """Return the completions at an index of a text."""
    lines = text.split("\n")
    row = text.count("\n", 0, index)
    column = index - (text.rfind("\n", 0, index) + 1)
    place = place_at(lines, row, column)
    after = lines[row][column:]
    if _is_comment(lines[row], column):
        return Completion(index, index)
    word = _PLACEHOLDER.search(place.typed)
    names = completions.named_at(place.path)
    bare = not place.path or place.path[:1] in _VALUES or names == "parameters"
    inside = word is not None and word.start() > 0 and not place.in_line  # of a text: an item of a list, say
    if word and not bare and (place.is_text or inside or not (place.is_key or place.in_line)):
        typed = word[1] or ""
        found = [Candidate(name, "parameter", "parameter") for name in known.parameters]
        found += [Candidate(name, "parameter", "of each task") for name in BUILT_IN]
        return _completion(index, typed, found, after)
    if place.is_key:
        typed = place.typed
        return _completion(index, typed, [*_keys(place, after), *_values(place, known)], after)
    typed = _WORD.search(place.typed.lstrip("'\""))[0]  # type: ignore[index]
    found = list(_values(place, known))
    file = _FILE.search(place.typed)
    if file and not found and (names == "files" or "command" in place.path):
        return _completion(index, file[1], [Candidate(name, "file") for name in known.files], after)
    return _completion(index, typed, found, after)


def _completion(index: int, typed: str, found: Sequence[Candidate], after: str) -> Completion:
    end = index + len(re.match(r"[\w.-]*", after)[0]) if typed else index  # type: ignore[index]
    return Completion(index - len(typed), end, tuple(matching(found, typed, ("parameter", "file")))[:MOST])


def _is_comment(line: str, column: int) -> bool:
    return re.match(r"""(?:[^'"#]|'[^']*'|"[^"]*"|(?<=\S)#)*(?:(?<!\S)#)""", line[:column]) is not None


def _keys(place: Place, after: str) -> Iterator[Candidate]:
    if re.match(r"[\w.-]*[ ]*:", after):
        end = opened = ""
    else:
        end, opened = ": ", ": " if place.in_line else f":\n{' ' * (place.indent + 2)}"
    for entry in completions.keys_at(place.path):
        if entry.name not in place.others:
            text = entry.name + (opened if entry.opens else end)
            yield Candidate(text, "key", entry.meaning, entry.name)


def _values(place: Place, known: Known) -> Iterator[Candidate]:
    for word in completions.words_at(place.path):
        yield Candidate(word, "value")
    if completions.named_at(place.path) == "parameters":
        for name in known.parameters:
            yield Candidate(name, "parameter")
    if not place.is_key and completions.has_kinds(place.path):
        for entry in completions.keys_at(place.path):
            yield Candidate(f"{{{entry.name}: ", "key", entry.meaning, entry.name)


def meaning(lines: Sequence[str], row: int, column: int) -> str:
    """Return what the key at a place means, with its name; empty where there is none of ours."""
    line = lines[row]
    place = place_at(lines, row, column)
    path = place.path
    if place.is_key:
        start = column - len(place.typed)
        found = re.match(r"""["']?([\w.-]+)""", line[start:])
        path = (*path, found[1]) if found else path
    while path and isinstance(path[-1], int):
        path = path[:-1]
    said = completions.meaning_at(path)
    return f"{path[-1]}: {said}" if said else ""
