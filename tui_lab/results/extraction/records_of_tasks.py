"""The records of a task for a table with many rows: its own, and those of the runs of stages that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.records import INDEX, REFUSED, Reader, Record


@dataclass
class StageRecords:
    """The records of the runs of a stage, each of which is read once."""

    stage: str
    reader: Reader
    outputs: OutputFolders
    behind: Mapping[int, Task]
    """The run that each task used, and its attempt, by task."""
    execution: Execution | None = None
    """Needed where something is to be run."""
    _known: dict[int, _Run] = field(default_factory=dict)

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Run what is to be run for the runs behind tasks."""
        runs = dict.fromkeys(self.behind[task] for task, _ in tasks if task in self.behind)
        if self.execution is not None:
            self.reader.prepare(self.execution, [run for run in runs if run[0] not in self._known])

    def of(self, task: int) -> _Run:
        """Return what the run behind a task has. Raises TooSlowError."""
        run = self.behind.get(task)
        if run is None:
            return _Run()
        if run[0] not in self._known:
            records = list(self.reader.records(self.outputs.path(run[0]), run[1], False))
            trouble = self.reader.trouble and f"{self.stage}: {self.reader.trouble}"
            self._known[run[0]] = _Run(records, self.reader.slow, trouble)
        return self._known[run[0]]


@dataclass(frozen=True)
class _Run:
    records: Sequence[Record] = ()
    slow: bool = False
    trouble: str = ""


class TaskRecords:
    """Reads the records of tasks. Of one step, a task has one record, with the names of all stages; of a name that
    several stages report, the values of the last of them."""

    def __init__(self, own: Reader, execution: Execution, stages: Sequence[StageRecords] = ()) -> None:
        """stages: in order."""
        self.own, self.execution, self.stages = own, execution, stages
        self.absent = self.slow = False
        self.trouble = ""
        self.sources: dict[str, set[str]] = {}
        """The stages from which values of a name are; an empty text for the tasks themselves."""

    @property
    def readers(self) -> list[Reader]:
        """All that read."""
        return [self.own, *(one.reader for one in self.stages)]

    @property
    def not_executed(self) -> bool:
        """Whether something was not executed, as the lab is not trusted."""
        return any(one.not_executed for one in self.readers)

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Run what is to be run for attempts that have ended."""
        self.own.prepare(self.execution, tasks)
        for stage in self.stages:
            stage.prepare(tasks)

    def of(self, task: int, attempt: int, live: bool) -> Iterable[Record]:
        """Return the records of a task. live: it still runs. Raises TooSlowError."""
        records = self.own.records(self.execution.outputs.path(task), attempt, live)
        if not self.stages:
            yield from records
            self.absent, self.slow, self.trouble = self.own.absent, self.own.slow, self.own.trouble
            return
        merged: dict[Any, Record] = {}
        taken = self._merge(merged, records, set(), "")
        self.absent, self.slow, self.trouble = self.own.absent, self.own.slow, self.own.trouble
        for stage in reversed(self.stages):
            run = stage.of(task)
            taken = self._merge(merged, run.records, taken, stage.stage)
            self.slow, self.trouble = self.slow or run.slow, self.trouble or run.trouble
        yield from merged.values()

    def _merge(self, merged: dict[Any, Record], records: Iterable[Record], taken: set[str], stage: str) -> set[str]:
        """Add records, but for names that are taken. Return the names that are taken then."""
        mine: set[str] = set()
        for record in records:
            values = {name: one for name, one in record.items() if name not in (INDEX, REFUSED) and name not in taken}
            if not values:
                continue
            into = merged.setdefault(record[INDEX], {INDEX: record[INDEX]})
            into.update(values)
            if refused := {name: text for name, text in record.get(REFUSED, {}).items() if name in values}:
                into.setdefault(REFUSED, {}).update(refused)
            mine.update(values)
        for name in mine:
            self.sources.setdefault(name, set()).add(stage)
        return taken | mine
