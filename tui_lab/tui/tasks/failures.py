"""Why tasks of the Tasks pane failed, in kinds, and the file without what such failures share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from tui_lab.client.formatting import printable
from tui_lab.results.failures.clusters import Cluster, FailureReader, clusters, failed_tasks
from tui_lab.results.failures.shared import Shared, shared
from tui_lab.tui.tasks.frame import TaskSource, TaskTable

READ_AT_MOST: Final = 20_000  # failed tasks whose outputs are read
JUDGED: Final = 20
"""Kinds, the largest ones, of which is said what their tasks share."""


@dataclass(frozen=True)
class Failures:
    """`frame` has a row per kind: group (its number), tasks, reason, the telling line, what they share; `kinds` and
    `shared` have more of each. `left` were not read: too many."""

    frame: pl.DataFrame
    kinds: tuple[Cluster, ...]
    shared: tuple[tuple[Shared, ...], ...]
    left: int = 0


class FailedTasks:
    """Reads why tasks failed, each attempt once."""

    def __init__(self, source: TaskSource) -> None:
        self._source = source
        self._reader = FailureReader(source.folder)

    def read(self, table: TaskTable, going: Callable[[], bool] = lambda: True) -> Failures:
        """Return the failed and lost planned tasks in kinds, the largest first. Raises LabError."""
        with self._source.reading() as folder:
            failed = failed_tasks(folder.state(), stages=False)
        kinds = clusters(self._reader.with_lines(failed[:READ_AT_MOST], going))
        planned = table.of_plan().frame
        columns = [*table.parameters, "node", "repeat"]
        found = [
            tuple(shared(planned, kind.tasks, columns, min(len(kinds), JUDGED))) if going() else ()
            for kind in kinds[:JUDGED]
        ]
        found += [()] * (len(kinds) - len(found))
        frame = pl.DataFrame(
            {
                "group": list(range(len(kinds))),
                "tasks": [len(kind.tasks) for kind in kinds],
                "reason": [kind.reason for kind in kinds],
                "line": [printable(kind.line) for kind in kinds],
                "share": [ones[0].words if ones else "" for ones in found],
            },
            schema={"group": pl.Int64, "tasks": pl.Int64, "reason": pl.String, "line": pl.String, "share": pl.String},
        )
        return Failures(frame, tuple(kinds), tuple(found), max(0, len(failed) - READ_AT_MOST))
