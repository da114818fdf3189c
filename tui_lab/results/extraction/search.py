"""All matches of a pattern in an output, line by line, and quickly.

The meaning is `pattern.regex.finditer(line)` for each line of a `Text`, one after the other (for a pattern that spans
lines, `finditer(text.whole)`). The way there is shorter: most patterns contain a piece of plain text that every match
must contain, so only lines with that text are decoded and matched, found by searching bytes (from the end where the
last match is wanted).

A line that may take long, or an output that has taken long, is left to `slow_search`, with all that is left of the
output. So every function here ends, or raises TooSlowError.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from tui_lab.experiment.patterns.pattern import Pattern
from tui_lab.results.extraction.slow_search import LIMIT, Match, SlowSearch
from tui_lab.results.extraction.text import BLOCK, Text

_LOOK: Final = 63  # lines between two looks at the clock, as a mask
_PATIENCE: Final = 1.0  # seconds of CPU time that an output, or 8 MiB of it, is searched here


def last_match(pattern: Pattern, text: Text) -> Match | None:
    """The last match of the output. Raises TooSlowError."""
    literal = pattern.literal
    if pattern.spans or literal is None or (pattern.folded and not text.is_ascii):
        return _last_in_lines(pattern, text)
    data = text.data
    haystack = text.lowered if pattern.folded else data
    regex, reach, end = pattern.regex, pattern.reach, len(data)
    clock: _Clock | None = None
    count = 0
    while (at := haystack.rfind(literal, 0, end)) >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        stop = data.find(b"\n", at)
        line = (data[start:] if stop < 0 else data[start:stop]).decode("utf-8", "replace")
        count += 1
        if len(line) > reach or (count & _LOOK == _LOOK and (clock := clock or _Clock(text)).is_over()):
            return _slow(pattern, text).last(chain([line], _lines_before(literal, haystack, data, start)))
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


def first_match(pattern: Pattern, text: Text) -> Match | None:
    """The first match of the output. Raises TooSlowError."""
    lines, clock = _candidates(pattern, text), _Clock(text)
    search, reach = pattern.regex.search, pattern.reach
    for count, line in enumerate(lines):
        if len(line) > reach or (count & _LOOK == _LOOK and clock.is_over()):
            return _slow(pattern, text).first(chain([line], lines))
        if match := search(line):
            return match
    return None


def all_matches(pattern: Pattern, text: Text) -> Iterator[Match]:
    """Every match of the output, in order. Raises TooSlowError."""
    lines, clock = _candidates(pattern, text), _Clock(text)
    finditer, reach = pattern.regex.finditer, pattern.reach
    for count, line in enumerate(lines):
        if len(line) > reach or (count & _LOOK == _LOOK and clock.is_over()):
            yield from _slow(pattern, text).all(chain([line], lines))
            return
        yield from finditer(line)


def lines_with_match(pattern: Pattern, text: Text) -> list[int]:
    """The numbers, from 0, of the lines of the output in which a match begins. Raises TooSlowError."""
    if pattern.spans:
        begins = (match.span()[0] for match in all_matches(pattern, text))
        return list(dict.fromkeys(number for number, _ in line_places(text, begins)))
    found: list[int] = []
    lines, clock = text.lines, _Clock(text)
    search, reach = pattern.regex.search, pattern.reach
    for number, line in enumerate(lines):
        if len(line) > reach or (number & _LOOK == _LOOK and clock.is_over()):
            return found + [number + place for place in _slow(pattern, text).which(lines[number:])]
        if search(line):
            found.append(number)
    return found


def line_places(text: Text, places: Iterable[int]) -> Iterator[tuple[int, int]]:
    """For places in the whole text, in ascending order: the number of the line, from 0, and where it begins."""
    number = begin = 0
    last = len(text.whole) - 1
    for place in places:
        while -1 < (end := text.whole.find("\n", begin, place)) < last:
            number, begin = number + 1, end + 1
        yield number, begin


class _Clock:
    """Whether an output has taken long: many lines of which each takes a while."""

    __slots__ = ("_end", "_text")

    def __init__(self, text: Text) -> None:
        self._text = text
        self._end = 0.0

    def is_over(self) -> bool:
        now = time.thread_time()
        self._end = self._end or now + _PATIENCE * (1 + len(self._text.data) / BLOCK)
        return now > self._end


def _slow(pattern: Pattern, text: Text) -> SlowSearch:
    return SlowSearch(pattern, LIMIT * (1 + len(text.data) // BLOCK))


def _last_in_lines(pattern: Pattern, text: Text) -> Match | None:
    lines: Iterator[str] = _candidates(pattern, text) if pattern.spans else reversed(text.lines)
    clock = _Clock(text)
    finditer, reach = pattern.regex.finditer, pattern.reach
    for count, line in enumerate(lines):
        if len(line) > reach or (count & _LOOK == _LOOK and clock.is_over()):
            return _slow(pattern, text).last(chain([line], lines))
        match = None
        for match in finditer(line):  # noqa: B007 - the last one is wanted
            pass
        if match is not None:
            return match
    return None


def _candidates(pattern: Pattern, text: Text) -> Iterator[str]:
    """The lines that may match, in order; the whole text for a pattern that spans lines."""
    literal = pattern.literal
    if pattern.spans:
        return iter((text.whole,) if text.data and (literal is None or pattern.folded or literal in text.data) else ())
    if literal is None or (pattern.folded and not text.is_ascii):
        return iter(text.lines)
    return _lines_with(literal, text.lowered if pattern.folded else text.data, text.data)


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


def _lines_before(literal: bytes, haystack: bytes, data: bytes, end: int) -> Iterator[str]:
    """The lines with a literal before a place where a line begins, from the end."""
    while (at := haystack.rfind(literal, 0, end)) >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        yield data[start : data.find(b"\n", at)].decode("utf-8", "replace")
        end = start
