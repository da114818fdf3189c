"""What the errors of PyYAML's two parsers mean, in plain words: libyaml's, and the one in Python."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from tui_lab.spec.problem import Problem
from tui_lab.spec.yaml_document import Text

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
    return Problem(file, *text.place(index), message, hint)


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
            return at, 'a second ": " in one line, which YAML takes for another key', QUOTE
        hint = "check the indentation, and that the line above is complete"
        return at, "a key where YAML still expects the value above to go on", hint
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
