"""Searches that may take for ever, in a separate process with a time limit.

Python's `re` can't be interrupted, and while it searches no other thread runs. What may take long is therefore searched
by a helper process, which the operating system ends when its time is over. Helpers start when they are needed, are kept
for the next search, and end with this process, also in the midst of one.

    python -m tui_lab.results.extraction.slow_search    is such a helper: requests at its input, answers at its output
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from tui_lab.experiment.patterns.pattern import Pattern, compile_pattern

LIMIT: Final = 3.0
"""Seconds of CPU time that a pattern may take for an output, or for each 8 MiB of a larger one."""
STRIKES: Final = 3
"""After so many outputs in a row a pattern is not tried on another that may take long."""
_BATCH: Final = 1 << 20  # characters that are sent at once
_LINES: Final = 1 << 12
_FIRST_BATCH: Final = 1 << 14


class TooSlowError(Exception):
    """A search that took longer than it may; nothing is known of what it would have found."""


class Found:
    """A match that a helper found, with as much of `re.Match` as is needed here."""

    __slots__ = ("spans", "texts")

    def __init__(self, texts: tuple[str | None, ...], spans: tuple[tuple[int, int], ...]) -> None:
        self.texts = texts
        self.spans = spans

    def __getitem__(self, group: int) -> Any:
        return self.texts[group]

    def groups(self) -> tuple[str | None, ...]:
        """Return the texts of the groups, as `re.Match.groups`."""
        return self.texts[1:]

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """Return the start and end of a group, as `re.Match.span`."""
        return self.spans[group]


Match: TypeAlias = "re.Match[str] | Found"


class SlowSearch:
    """A pattern in one output. Its searches raise TooSlowError once they have taken longer than `seconds` of CPU time
    in all, or where the pattern has taken too long in others before."""

    def __init__(self, pattern: Pattern, seconds: float = LIMIT) -> None:
        self._pattern = pattern
        self._left = seconds
        self._counts = seconds >= LIMIT
        self.took = 0.0
        """Seconds of CPU time so far, without the start of a helper and waits for a busy machine."""

    def all(self, lines: Iterable[str]) -> Iterator[Found]:
        """Every match, in order."""
        for batch in self._batches(lines, _BATCH):
            for match in self._ask("all", batch):
                yield Found(*match)

    def first(self, lines: Iterable[str]) -> Found | None:
        """The first match of the first line that has one."""
        return self._one("first", lines)

    def last(self, lines: Iterable[str]) -> Found | None:
        """The last match of the first line that has one: lines are given from the end."""
        return self._one("last", lines)

    def _one(self, what: str, lines: Iterable[str]) -> Found | None:
        for batch in self._batches(lines, _FIRST_BATCH):
            if (found := self._ask(what, batch)) is not None:
                return Found(*found)
        return None

    def which(self, lines: Sequence[str]) -> list[int]:
        """The places of the lines that have a match."""
        numbers = self._numbers(lines)
        found: list[int] = []
        start = 0
        for batch in self._batches((lines[number] for number in numbers), _BATCH):
            found += [numbers[start + place] for place in self._ask("which", batch)]
            start += len(batch)
        return found

    def where(self, lines: Sequence[str], most: int) -> tuple[int, dict[int, list[Found]]]:
        """The number of matches, and the matches of at most `most` lines by their places: the first and the last
        ones."""
        numbers = self._numbers(lines)
        if not numbers:
            return 0, {}
        count, found = self._ask("where", [lines[number] for number in numbers], most)
        return count, {numbers[place]: [Found(*match) for match in matches] for place, matches in found}

    def _batches(self, lines: Iterable[str], size: int) -> Iterator[list[str]]:
        """Lines that may match, as many as are sent at once."""
        batch: list[str] = []
        length = 0
        for line in lines:
            if self._possible(line):
                batch.append(line)
                length += len(line)
                if length >= size or len(batch) >= _LINES:
                    yield batch
                    batch, length, size = [], 0, _BATCH
        if batch:
            yield batch

    def _numbers(self, lines: Sequence[str]) -> list[int]:
        return [number for number, line in enumerate(lines) if self._possible(line)]

    def _possible(self, line: str) -> bool:
        """Whether a line has all plain text that a match must have, in order."""
        if self._pattern.folded:
            if not line.isascii():
                return True
            line = line.lower()
        at = 0
        for text in self._pattern.needs:
            at = line.find(text, at)
            if at < 0:
                return False
            at += len(text)
        return True

    def _ask(self, what: str, lines: Sequence[str], *more: Any) -> Any:
        text, spaced = self._pattern.text, self._pattern.spaced
        if self._counts and _strikes.get(text, 0) >= STRIKES:
            raise TooSlowError
        try:
            answer, took = _HELPERS.ask((what, (text, spaced), self._left, lines, *more))
        except TooSlowError:
            if self._counts:
                _strikes[text] = _strikes.get(text, 0) + 1
            raise
        _strikes.pop(text, None)
        self.took += took
        self._left = max(self._left - took, 0.01)
        return answer


_strikes: Final[dict[str, int]] = {}


class _Helpers:
    """The helper processes that wait for a request."""

    def __init__(self) -> None:
        self._idle: list[subprocess.Popen[bytes]] = []  # append and pop are atomic

    def ask(self, request: tuple[Any, ...]) -> tuple[Any, float]:
        """What a helper answers, and the seconds that it took. Raises TooSlowError."""
        for _ in range(2):
            helper = self._take()
            try:
                answer: tuple[Any, float] = _exchange(helper, request)
            except (EOFError, BrokenPipeError, pickle.UnpicklingError):
                helper.kill()
                if helper.wait() == -signal.SIGVTALRM:
                    raise TooSlowError from None
                continue  # ended by something else: once more
            except BaseException:  # Ctrl-C
                helper.kill()
                helper.wait()
                raise
            self._idle.append(helper)
            return answer
        raise TooSlowError

    def _take(self) -> subprocess.Popen[bytes]:
        while self._idle:
            with contextlib.suppress(IndexError):
                helper = self._idle.pop()
                if helper.poll() is None:
                    return helper
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "tui_lab.results.extraction.slow_search"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for this process, which ends it
            )
        except OSError as error:
            raise TooSlowError(f"no process could be started for it: {error.strerror}") from None


_HELPERS: Final = _Helpers()


def _exchange(helper: subprocess.Popen[bytes], request: tuple[Any, ...]) -> tuple[Any, float]:
    assert helper.stdin is not None and helper.stdout is not None
    pickle.dump(request, helper.stdin, pickle.HIGHEST_PROTOCOL)
    helper.stdin.flush()
    answer: tuple[Any, float] = pickle.load(helper.stdout)
    return answer


# --- The helper


def main() -> None:
    """Answer requests until there are no more of them."""
    compiled = lru_cache(maxsize=64)(compile_pattern)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    asking = _Asking(requests.fileno())
    while True:
        try:
            what, text, seconds, *given = pickle.load(requests)
        except EOFError:
            return
        began = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        with asking:
            answer = _ANSWERS[what](compiled(*text).regex.finditer, *given)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        pickle.dump((answer, time.process_time() - began), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


class _Asking:
    """Within it, the end of the process that asks ends this one at once: it closes the requests, and nothing else comes
    there before its answer. A search sees nothing itself."""

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self._ended = select.poll()
        self._ended.register(requests, 0)
        self._flags = fcntl.fcntl(requests, fcntl.F_GETFL)
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(requests, fcntl.F_SETOWN, os.getpid())

    def __enter__(self) -> None:
        fcntl.fcntl(self._requests, fcntl.F_SETFL, self._flags | os.O_ASYNC)
        if self._ended.poll(0):
            sys.exit()

    def __exit__(self, *exception: object) -> None:
        fcntl.fcntl(self._requests, fcntl.F_SETFL, self._flags)


_Finditer = Callable[[str], "Iterator[re.Match[str]]"]
_Plain = tuple[tuple[Any, ...], tuple[tuple[int, int], ...]]


def _plain(match: re.Match[str]) -> _Plain:
    return (match[0], *match.groups()), match.regs


def _all(finditer: _Finditer, lines: Sequence[str]) -> list[_Plain]:
    return [_plain(match) for line in lines for match in finditer(line)]


def _first(finditer: _Finditer, lines: Sequence[str]) -> _Plain | None:
    return next((_plain(match) for line in lines for match in finditer(line)), None)


def _last(finditer: _Finditer, lines: Sequence[str]) -> _Plain | None:
    for line in lines:
        match = None
        for match in finditer(line):  # noqa: B007 - the last one is wanted
            pass
        if match is not None:
            return _plain(match)
    return None


def _which(finditer: _Finditer, lines: Sequence[str]) -> list[int]:
    return [number for number, line in enumerate(lines) if next(finditer(line), None) is not None]


def _where(finditer: _Finditer, lines: Sequence[str], most: int) -> tuple[int, list[tuple[int, list[_Plain]]]]:
    found: list[tuple[int, list[_Plain]]] = []
    count = 0
    for number, line in enumerate(lines):
        if matches := [_plain(match) for match in finditer(line)]:
            count += len(matches)
            found.append((number, matches))
            if len(found) > most:
                del found[most // 2]
    return count, found


_ANSWERS: Final[dict[str, Callable[..., Any]]] = {
    "all": _all,
    "first": _first,
    "last": _last,
    "which": _which,
    "where": _where,
}

if __name__ == "__main__":
    main()
