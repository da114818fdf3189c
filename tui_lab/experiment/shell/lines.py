"""Lines of a shell script, as far as folding mistakes need them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HERE = re.compile(r"<<-?[ \t]*(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1")


def flag_lines(script: str) -> Iterator[int]:
    """Offsets of the lines where a command would begin with `-`, which is a line folded wrongly.

    Lines inside quotes and here-documents, and those that go on after a backslash, begin no command.
    """
    quote = ""
    ends: list[str] = []
    goes_on = False
    at = 0
    for line in script.splitlines(keepends=True):
        if ends:
            if line.strip() == ends[0]:
                ends.pop(0)
        else:
            stripped = line.lstrip()
            if not quote and not goes_on and stripped.startswith("-"):
                yield at + len(line) - len(stripped)
            begins_quoted = bool(quote)
            quote, code, goes_on = _quote_after(line, quote)
            if not begins_quoted:
                ends = [found[2] for found in _HERE.finditer(line) if found.start() in code]
        at += len(line)


def _quote_after(line: str, quote: str) -> tuple[str, set[int], bool]:
    """The quote that is open at the end of a line, which characters stand outside quotes, and whether the
    line ends with a backslash."""
    code: set[int] = set()
    escaped = False
    for i, char in enumerate(line):
        if escaped:
            escaped = False
            if char == "\n":
                return quote, code, True
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            if char == quote:
                quote = ""
        elif char in ("'", '"'):
            quote = char
        elif char == "#" and (i == 0 or line[i - 1].isspace()):
            break
        else:
            code.add(i)
    return quote, code, escaped
