"""All matches of a pattern in an output, line by line, and quickly.

The meaning is `pattern.regex.finditer(line)` for each line of a `Text`, one after the other. The way there is
shorter: most patterns contain a piece of plain text that every match must contain, so only lines with that
text are decoded and matched, found by searching bytes (from the end where the last match is wanted).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tui_lab.results.text import Text
from tui_lab.spec.pattern import Pattern


def last_match(pattern: Pattern, text: Text) -> re.Match[str] | None:
    """The last match of the output."""
    literal = pattern.literal
    if literal is None or (pattern.folded and not text.is_ascii):
        return _last_in_lines(pattern.regex, text.lines)
    data = text.data
    haystack = text.lowered if pattern.folded else data
    regex, end = pattern.regex, len(data)
    while (at := haystack.rfind(literal, 0, end)) >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        stop = data.find(b"\n", at)
        line = (data[start:] if stop < 0 else data[start:stop]).decode("utf-8", "replace")
        # Matches do not overlap and each holds the literal: where it occurs once there is at most one.
        if haystack.find(literal, start, at + len(literal) - 1) < 0:
            match = regex.search(line)
        else:
            match = None
            for found in regex.finditer(line):
                match = found
        if match is not None:
            return match
        end = start
    return None


def first_match(pattern: Pattern, text: Text) -> re.Match[str] | None:
    """The first match of the output."""
    literal = pattern.literal
    if literal is None or (pattern.folded and not text.is_ascii):
        for line in text.lines:
            if match := pattern.regex.search(line):
                return match
        return None
    for line in _lines_with(literal, text.lowered if pattern.folded else text.data, text.data):
        if match := pattern.regex.search(line):
            return match
    return None


def all_matches(pattern: Pattern, text: Text) -> Iterator[re.Match[str]]:
    """Every match of the output, in order."""
    literal, finditer = pattern.literal, pattern.regex.finditer
    if literal is None or (pattern.folded and not text.is_ascii):
        for line in text.lines:
            yield from finditer(line)
        return
    for line in _lines_with(literal, text.lowered if pattern.folded else text.data, text.data):
        yield from finditer(line)


def _last_in_lines(regex: re.Pattern[str], lines: list[str]) -> re.Match[str] | None:
    for line in reversed(lines):
        match = None
        for match in regex.finditer(line):  # noqa: B007 - the last one is wanted
            pass
        if match is not None:
            return match
    return None


def _lines_with(literal: bytes, haystack: bytes, data: bytes) -> Iterator[str]:
    at = haystack.find(literal)
    while at >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        stop = data.find(b"\n", at)
        if stop < 0:
            yield data[start:].decode("utf-8", "replace")
            return
        yield data[start:stop].decode("utf-8", "replace")
        at = haystack.find(literal, stop)
