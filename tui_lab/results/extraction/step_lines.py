"""Lines of live metrics (`$TUI_LAB_METRICS`): JSON objects with values by step, one a line."""

from __future__ import annotations

from collections.abc import Iterator

from tui_lab.experiment.domains.model import Value
from tui_lab.results.extraction.structured import loads


class StepLines:
    """Reads the lines of a file in their order, at once or in pieces. A file may hold anything at all.

    count: lines so far that have no step of their own; skipped: those that are no JSON objects; is_numbered: whether
    any line has a step of its own.
    """

    def __init__(self) -> None:
        self.count = 0
        self.skipped = 0
        self.is_numbered = False

    def read(self, raw: bytes) -> Iterator[tuple[int | float, dict[str, Value]]]:
        """Yield the step of each line, and its values. A line without a step is counted."""
        for document in _documents([line for line in raw.splitlines() if line.strip()]):
            if not isinstance(document, dict):
                self.skipped += 1
                continue
            step = document.pop("step", None)
            if isinstance(step, bool) or not isinstance(step, (int, float)):
                step, self.count = self.count, self.count + 1
            else:
                self.is_numbered = True
            yield step, document


def _documents(lines: list[bytes]) -> list[Value]:
    """Return what is in each line; None where it is no JSON."""
    try:
        whole = loads(b"[" + b",".join(lines) + b"]")  # at once: several times as quick
    except ValueError:
        return [_document(line) for line in lines]
    if isinstance(whole, list) and len(whole) == len(lines):
        return whole
    return [_document(line) for line in lines]


def _document(line: bytes) -> Value:
    try:
        return loads(line)
    except ValueError:
        return None
