"""A row for each dict of a list that a Python function returns, or for each dict that it yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tui_lab.experiment.metric import Rows
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.row_sources.function import FunctionRows
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.function_calls import FunctionCalls, fingerprint, limit_of, parameter_rows
from tui_lab.results.extraction.kept_answers import Answer
from tui_lab.results.extraction.records import Record
from tui_lab.results.extraction.rows import RowsReader
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.values import from_json


class FunctionRowsReader(RowsReader):
    """Calls the function, for all tasks that are asked for together."""

    not_tried = "Its function is called when tables are read."

    def __init__(self, experiment: Experiment, rows: Rows, bases: Mapping[str, str]) -> None:
        super().__init__(experiment, rows, bases)
        assert isinstance(rows.source, FunctionRows)
        self.file = rows.source.function
        self.function = rows.source.called
        self._answers: dict[str, Answer] = {}  # by the folder of a task

    def fingerprint(self) -> str:
        return fingerprint(self.function, self.experiment.folder)

    def forget(self, folder: Path) -> None:
        FunctionCalls(self.function, self.experiment.folder, OutputFolders(folder)).forget()

    def prepare(self, execution: Execution, tasks: Sequence[Task]) -> None:
        if not execution.trusted or not tasks:
            self.not_executed = self.not_executed or bool(tasks)
            return
        limit = limit_of(self.experiment, self.function)
        calls = FunctionCalls(self.function, self.experiment.folder, execution.outputs, limit)
        answers = calls.answers(tasks, parameter_rows(self.experiment, execution.parameters(tasks)))
        for (task, _), answer in zip(tasks, answers, strict=True):
            self._answers[execution.outputs.path(task)] = answer

    def found(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        answer = self._answers.get(folder, {})
        if error := answer.get("error"):
            raise SourceError(str(error))
        for row in answer.get("rows") or ():
            yield {name: from_json(value, "json") for name, value in row.items()}
        not_kept = answer.get("not_kept") or {}
        for name, what in not_kept.items():
            self.trouble = self.trouble or f"{self.file}: {name} can't be kept: {what}"
        if not self.trouble and (answer.get("values") or answer.get("steps")):
            self.trouble = f"{self.file}: it returned no list of dicts"

    @property
    def not_found(self) -> str:
        return f"{self.file} returned no row"
