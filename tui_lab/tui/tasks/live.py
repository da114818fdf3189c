"""What tasks that run say: their newest value of a metric, its curve, how far they are, and what is left.

These stand in columns of their own, which are there only while something runs. They are read for the rows in sight.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.engine.client import EngineClient
from tui_lab.experiment.data_types import Row
from tui_lab.protocol.control import Piece, ReadFile
from tui_lab.results.live import LiveReader, LiveTask
from tui_lab.results.precision import Notation, notation
from tui_lab.results.progress import task_progress, total_steps
from tui_lab.store.errors import LabError
from tui_lab.store.fold import DONE
from tui_lab.store.lab import Lab
from tui_lab.tui.tasks.frame import TaskSource, TaskTable
from tui_lab.tui.tasks.latest import latest
from tui_lab.tui.widgets.spark import braille_line

VALUE: Final = "live value"
NUMBER: Final = "live number"
TREND: Final = "live trend"
SHARE: Final = "live progress"
LEFT: Final = "live left"
SCHEMA: Final[dict[str, pl.DataType]] = {
    VALUE: pl.Float64(),
    NUMBER: pl.String(),
    TREND: pl.String(),
    SHARE: pl.Float64(),
    LEFT: pl.Float64(),
}
"""The columns. No parameter or metric is called so; where one is, its own column stands."""
SHOWN: Final = (SHARE, VALUE, LEFT)
"""Those that are shown; the value is shown as its text, with equally many decimals in all rows, and its curve behind
it."""
TREND_WIDTH: Final = 10
LEARNT_EVERY: Final = 5.0
"""Seconds between two looks at done tasks."""
MOST_DONE: Final = 2000
"""Done tasks that are looked at."""
PATIENCE: Final = 2.0
"""Seconds that the engine may take to answer."""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """The live columns of a task that runs."""

    value: float | None = None
    trend: str = ""
    share: float | None = None
    left: float | None = None

    def values(self, how: Notation) -> Row:
        """Return its cells. how: the value is written."""
        number = None if self.value is None else how.text(self.value)
        return {VALUE: self.value, NUMBER: number, TREND: self.trend or None, SHARE: self.share, LEFT: self.left}


class LiveTasks:
    """Reads the live columns of one experiment's tasks. `read` blocks, and belongs in one thread at a time.

    metric: the one that was read last; metrics: all that are known.
    """

    def __init__(self, lab: Lab, source: TaskSource, ascii_only: bool = False) -> None:
        self.metric: str | None = None
        self.metrics: tuple[str, ...] = ()
        self._lab, self._source, self._ascii = lab, source, ascii_only
        self._reader: LiveReader | None = None
        self._submissions = -1
        self._total: float | None = None
        self._durations: list[float] = []
        self._alike: dict[int, list[float]] = {}
        """Durations of done tasks of the same setting, by running task."""
        self._learnt = 0.0
        self._lock = threading.Lock()
        self._client: EngineClient | None = None
        self._closed = False

    def read(self, facts: Mapping[int, Row], table: TaskTable | None, metric: str | None) -> dict[int, LiveRow]:
        """Return the live columns of those tasks that run. facts: the newest of some tasks. Raises LabError, OSError.

        metric: the one to show; None for the one that was shown last, as long as it has values, and else the one that
        most of these tasks have.
        """
        running = {task: row for task, row in facts.items() if row["state"] == "running"}
        if not running:
            return {}
        reader = self._prepared(table, list(running))
        live = reader.read([(task, row["attempts"]) for task, row in running.items()])
        self.metrics = reader.metrics
        chosen = self.metric = metric if metric in self.metrics else self._steady(live.values())
        found = {}
        for task, row in running.items():
            now, elapsed = live[task], row["duration"] or 0.0
            curve = now.curves.get(chosen) if chosen is not None else None
            how_far = task_progress(elapsed, now.step, self._total, self._alike.get(task) or self._durations)
            found[task] = LiveRow(
                now.last.get(chosen) if chosen is not None else None,
                braille_line(curve.values, TREND_WIDTH, ascii=self._ascii) if curve is not None else "",
                how_far.share,
                how_far.left,
            )
        return found

    def _steady(self, said: Collection[LiveTask]) -> str | None:
        """Return a metric that has values. One that comes at the end of tasks only does not replace another."""
        counts = {name: sum(name in one.last for one in said) for name in self.metrics}
        if counts.get(self.metric or "") or not any(counts.values()):
            return self.metric
        return max(self.metrics, key=lambda name: counts[name])

    def _prepared(self, table: TaskTable | None, running: Sequence[int]) -> LiveReader:
        """Return the reader, after it has learnt from tasks that are done by now."""
        with self._source.reading() as folder:
            state = folder.state()
            if self._reader is None or len(state.submissions) != self._submissions:
                self._submissions = len(state.submissions)
                self._reader = LiveReader(folder.path, folder.spec(), self.ask)
                self._learnt = 0.0
            if time.monotonic() - self._learnt < LEARNT_EVERY:
                return self._reader
            columns = {name: np.frombuffer(state.columns[name], dtype=code) for name, code in _COLUMNS}
            done = np.flatnonzero((columns["state"] == DONE) & (columns["planned"] == 1))
            done = done[latest(columns["ended"][done], MOST_DONE)]
            done = done[np.argsort(columns["ended"][done])]
            took = columns["duration"][done]
            attempts = columns["attempt"][done]
        self._durations = np.sort(took[~np.isnan(took)]).tolist()
        self._total = total_steps(self._reader.ends(list(zip(done.tolist(), attempts.tolist(), strict=True))))
        self._alike = _alike(table, running, done, took) if table is not None else {}
        self._learnt = time.monotonic()
        return self._reader

    def ask(self, command: ReadFile) -> Piece:
        """Ask the engine for a piece of an output. Any thread may. Raises LabError."""
        with self._lock:
            if self._closed:
                raise LabError("it is no longer shown")
            if self._client is None:
                self._client = EngineClient.connect(self._lab)
            if self._client is None:
                raise LabError("no engine is running")
            try:
                return self._client.request(command, patience=PATIENCE)
            except LabError:
                self._client.close()
                self._client = None
                raise

    def close(self) -> None:
        """End the connection to the engine, if there is one."""
        self._closed = True
        if self._lock.acquire(blocking=False):  # else the thread that has it will close it
            try:
                if self._client is not None:
                    self._client.close()
                    self._client = None
            finally:
                self._lock.release()


_COLUMNS: Final = (("state", "b"), ("planned", "b"), ("ended", "d"), ("duration", "d"), ("attempt", "i"))


def _alike(
    table: TaskTable, running: Sequence[int], done: npt.NDArray[np.int64], took: npt.NDArray[np.float64]
) -> dict[int, list[float]]:
    """Return the durations of done tasks of the same setting, ascending, by running task."""
    names = [name for name in table.parameters if name not in table.still]
    if not names or "repeat" in table.still:
        return {}
    known = ~np.isnan(took)
    theirs = pl.DataFrame({"other": done[known], "took": took[known]})
    theirs = _settings(table, done[known], names).rename({"task_id": "other"}).join(theirs, on="other")
    mine = _settings(table, np.array(running, dtype=np.int64), names)
    found: dict[int, list[float]] = {}
    for task, seconds in mine.join(theirs, on=names, nulls_equal=True).select("task_id", "took").iter_rows():
        found.setdefault(task, []).append(seconds)
    return {task: sorted(durations) for task, durations in found.items()}


def _settings(table: TaskTable, tasks: npt.NDArray[np.int64], names: Sequence[str]) -> pl.DataFrame:
    """Return the rows of some tasks; they ascend by task_id, so none is searched for among all."""
    ids = table.frame["task_id"].to_numpy()
    places = np.minimum(np.searchsorted(ids, tasks), max(0, len(ids) - 1))
    return table.frame.select("task_id", *names)[places[ids[places] == tasks] if len(ids) else []]


def filled(rows: pl.DataFrame, live: Mapping[int, LiveRow], own: Collection[str]) -> pl.DataFrame:
    """Return rows in sight with the live columns. own: columns that are no live ones. No other rows have them: in a
    table of a million they would take much memory."""
    how = notation([row.value for row in live.values() if row.value is not None])
    cells = [live[task].values(how) if task in live else {} for task in rows["task_id"].to_list()]
    return rows.with_columns(
        pl.Series(name, [row.get(name) for row in cells], dtype=dtype, strict=False)
        for name, dtype in SCHEMA.items()
        if name not in own
    )
