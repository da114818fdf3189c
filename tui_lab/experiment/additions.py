"""Changes of an experiment's text by program: another metric, a condition, repeats. Comments and layout stay."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tui_lab.experiment.yaml.document import Document, Node
from tui_lab.experiment.yaml.edit import Edit
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import Problem, SpecError
from tui_lab.experiment.yaml.writer import one_line

_STEP: Final = 2
"""Blanks that a mapping stands further in than its key, where the file shows no other use."""
_ALIAS: Final = re.compile(r"[ \t]*:[ \t]*\*\S*")
_SAID: Final = re.compile(r"(?:#[^\n]*\n?)+")
"""What is said below an entry."""
_OR: Final = re.compile(r"\bor\b", re.IGNORECASE)


def add_metric(text: str, file: str, name: str, metric: str | Mapping[str, Any]) -> Edit:
    """Return the change that adds a metric behind the others. metric: as the file has it, a pattern or a mapping.

    Raises SpecError where the text can't be read, or has no place for one.
    """
    document = parse(text, file)
    metrics = document.node(("metrics",))
    if metrics is not None and name in metrics.entries:
        raise _refused(document, ("metrics", name), f'there is a metric "{name}" already')
    wanted = {**_plain(document), "metrics": {**_mapping(document, ("metrics",)), name: metric}}
    if metrics is None:
        step = _step(document)
        block = f"metrics:\n{step}{one_line(name)}: {one_line(metric)}"
        edits = _into(document, document.root, block, f"metrics: {one_line({name: metric})}")
    elif metrics.kind == "scalar" or not metrics.entries:
        edits = _in_place(document, metrics, {name: metric})
    else:
        entry = f"{one_line(name)}: {one_line(metric)}"
        edits = _into(document, metrics, entry, entry)
    return _first(document, edits, wanted)


def add_condition(text: str, file: str, condition: str) -> Edit:
    """Return the change that has only combinations run that also fulfil a condition: another part of `where`.

    Raises SpecError where the text can't be read, or has no place for it.
    """
    document = parse(text, file)
    where = document.node(("where",))
    given = "" if where is None or where.value is None else where.text
    whole = _and(given, condition)
    wanted = {**_plain(document), "where": whole}
    if where is None:
        entry = f"where: {one_line(whole)}"
        return _first(document, _into(document, document.root, entry, entry, behind="parameters"), wanted)
    if where.kind != "scalar":
        raise _refused(document, ("where",), '"where" must be text')
    return _first(document, _in_place(document, where, whole), wanted)


def set_repeat(text: str, file: str, count: int) -> Edit:
    """Return the change that has each combination run so often. Raises SpecError where the text can't be read, or says
    by a condition how often."""
    document = parse(text, file)
    given = document.node(("repeat",))
    wanted = {**_plain(document), "repeat": count}
    if given is None:
        entry = f"repeat: {count}"
        return _first(document, _into(document, document.root, entry, entry, behind="parameters"), wanted)
    if given.kind != "scalar":
        raise _refused(document, ("repeat",), '"repeat" has a condition here', "raise its max")
    return _first(document, _in_place(document, given, count), wanted)


def _and(given: str, condition: str) -> str:
    given = given.strip()
    if not given:
        return condition
    if "--" in given or ("\n" in given and _OR.search(given)):  # a comment ends with its line
        return f"({given}\n) and {_bracketed(condition)}"
    if "\n" in given:
        return f"{given}\nand {_bracketed(condition)}"
    return f"{_bracketed(given)} and {_bracketed(condition)}"


def _bracketed(condition: str) -> str:
    return f"({condition})" if _OR.search(condition) else condition


# --- Where an entry can go: each is tried, until one gives what is wanted


def _first(document: Document, edits: Iterator[Edit], wanted: dict[str, Any]) -> Edit:
    source = document.text.source
    for edit in edits:
        try:
            found = parse(edit.applied(source), document.file)
        except SpecError:
            continue
        if repr(found.value) == repr(wanted) or found.value == wanted:
            return edit
    raise _refused(document, (), "this can't be added by itself", "write it into the file")


def _into(document: Document, mapping: Node | None, block: str, flow: str, behind: str = "") -> Iterator[Edit]:
    """Ways to add an entry to a mapping: in its style, behind its last own entry, or behind another."""
    source = document.text.source
    if mapping is None or mapping.kind != "mapping":
        if mapping is None or (mapping.kind == "scalar" and mapping.value is None):
            yield _line(document, len(source), block)
        return
    own = [(key, value) for key, value in mapping.entries.values() if mapping.start <= key.start < mapping.end]
    if source[mapping.end - 1 : mapping.end] == "}" and source[mapping.start : mapping.start + 1] in ("{", "&", "!"):
        if own:
            end = _end(document, *own[-1])
            yield Edit(end, end, f", {flow}")
        yield Edit(mapping.end - 1, mapping.end - 1, f", {flow}" if mapping.entries else flow)
        return
    indent = document.text.place(own[0][0].start if own else mapping.start)[1] - 1
    entry = "\n".join(" " * indent + line for line in block.split("\n"))
    if mapping is document.root and not behind and own:
        behind_it = source.find("\n", _end(document, *own[-1]))
        said = _SAID.match(source, behind_it + 1)
        if behind_it >= 0 and said is not None:
            yield _line(document, said.end(), entry)
    chosen = [mapping.entries[behind]] if behind in mapping.entries else []
    for key, value in [*chosen, *own[-1:]]:
        yield _line(document, _end(document, key, value), entry)
    yield _line(document, mapping.end, entry)


def _in_place(document: Document, node: Node, value: Any) -> Iterator[Edit]:
    """Ways to put a value in place of a scalar, or of an empty mapping."""
    source = document.text.source
    end = node.start + len(source[node.start : node.end].rstrip())
    if node.start == end:  # it is left empty
        key = next(key for key, one in document.root.entries.values() if one is node)  # type: ignore[union-attr]
        at = source.index(":", key.end) + 1
        if isinstance(value, dict):
            block = "\n".join(f"{_step(document)}{one_line(name)}: {one_line(one)}" for name, one in value.items())
            yield _line(document, at, block)
        yield Edit(at, at, f" {one_line(value)}")
    elif isinstance(value, str) and "\n" in value and node.style in ("|", ">"):
        lines = f"\n{_step(document)}".join(value.split("\n"))
        yield Edit(node.start, end, f"|-\n{_step(document)}{lines}")
    else:
        yield Edit(node.start, end, one_line(value))


def _line(document: Document, index: int, lines: str) -> Edit:
    """The change that puts lines behind the one that holds the character before an index."""
    source = document.text.source
    ending = next((mark for mark in ("\r\n", "\n", "\r") if mark in source), "\n")
    lines = lines.replace("\n", ending)
    number = document.text.place(max(index - 1, 0))[0]
    if number < len(document.text.starts):
        at = document.text.starts[number]
        return Edit(at, at, lines + ending)
    empty = not source[document.text.starts[-1] :]
    return Edit(len(source), len(source), lines + ending if empty else ending + lines)


def _end(document: Document, key: Node, value: Node) -> int:
    """Where an entry ends: behind the last character that is part of it."""
    if value.start < key.start:  # an alias stands there
        found = _ALIAS.match(document.text.source, key.end)
        return found.end() if found else key.end
    if value.kind == "scalar":
        return max(value.end, key.end + 1)
    if document.text.source[value.end - 1 : value.end] in ("}", "]"):
        return value.end
    if value.kind == "list":
        return _end(document, key, value.items[-1]) if value.items else value.end
    own = [entry for entry in value.entries.values() if value.start <= entry[0].start < value.end]
    return _end(document, *own[-1]) if own else value.end


def _step(document: Document) -> str:
    """The blanks by which the file's first mapping within another is further in."""
    root = document.root
    for key, value in root.entries.values() if root is not None else ():
        if value.kind == "mapping" and value.entries and document.text.source[value.start : value.start + 1] != "{":
            step = document.text.place(value.start)[1] - document.text.place(key.start)[1]
            if step > 0 and document.text.place(value.start)[0] > document.text.place(key.start)[0]:
                return " " * step
    return " " * _STEP


def _plain(document: Document) -> dict[str, Any]:
    if document.value is None:
        return {}
    return _mapping(document, ())


def _mapping(document: Document, path: tuple[str, ...]) -> dict[str, Any]:
    """The entries of a mapping that may be missing, or empty."""
    node = document.node(path)
    if node is None or (node.kind == "scalar" and node.value is None):
        return {}
    if node.kind != "mapping":
        raise _refused(document, path, f"{'the file' if not path else path[-1]} must be a mapping")
    found: dict[str, Any] = node.plain()
    return found


def _refused(document: Document, path: tuple[str, ...], message: str, hint: str = "") -> SpecError:
    line, column = document.place(path, at_key=True)
    return SpecError([Problem(document.file, line, column, message, hint)])
