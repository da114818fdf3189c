"""Failures by what they said last: what to look at first when many tasks failed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from tui_lab.cli.text import last_line
from tui_lab.store import fold
from tui_lab.tui.task_frame import TaskSource

READ_AT_MOST: Final = 20_000  # failed tasks whose last line is read
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Failures:
    """`frame` has a row per kind: group (its number), tasks, reason, last line; `tasks` the ids of each. `left` were
    not read: too many."""

    frame: pl.DataFrame
    tasks: tuple[tuple[int, ...], ...]
    left: int = 0


class FailureReader:
    """Reads last lines, each once."""

    def __init__(self, source: TaskSource) -> None:
        self._source = source
        self._lines: dict[tuple[int, int], str] = {}

    def read(self, going: Callable[[], bool]) -> Failures:
        """The failed and lost planned tasks, grouped by reason and last line (lines that differ in numbers alone are
        one kind), largest group first. Raises LabError."""
        with self._source.reading() as folder:
            state = folder.state()
            columns = {
                name: np.frombuffer(state.columns[name], dtype=fold.COLUMNS[name][0])
                for name in ("state", "planned", "reason", "exit_code", "signal", "attempt")
            }
            failed = (columns["state"] == fold.FAILED) | (columns["state"] == fold.LOST)
            ids = np.flatnonzero(failed & (columns["planned"] == 1))
            facts = {name: column[ids].tolist() for name, column in columns.items()}
            del columns
            path = folder.path
        groups: dict[tuple[str, str], list[int]] = {}
        examples: dict[tuple[str, str], str] = {}
        for place, task in enumerate(ids[:READ_AT_MOST].tolist()):
            if not going():
                break
            attempt = facts["attempt"][place]
            line = self._lines.get((task, attempt))
            if line is None:
                line = last_line(path, {"task": task, "attempt": attempt})
                self._lines[task, attempt] = line
            reason = "lost" if facts["state"][place] == fold.LOST else fold.REASONS[facts["reason"][place]]
            if reason in ("exit", "signal"):
                code = facts["exit_code" if reason == "exit" else "signal"][place]
                reason = f"{reason} {code}"
            kind = (reason, _NUMBER.sub("#", line))
            examples.setdefault(kind, line)
            groups.setdefault(kind, []).append(task)
        ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
        frame = pl.DataFrame(
            {
                "group": list(range(len(ordered))),
                "tasks": [len(tasks) for _, tasks in ordered],
                "reason": [reason for (reason, _), _ in ordered],
                "last line": [examples[kind] for kind, _ in ordered],
            },
            schema={"group": pl.Int64, "tasks": pl.Int64, "reason": pl.String, "last line": pl.String},
        )
        return Failures(frame, tuple(tuple(tasks) for _, tasks in ordered), max(0, len(ids) - READ_AT_MOST))
