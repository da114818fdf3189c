"""Values by step: live metrics, and metrics of which all values are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.extract import read_all
from tui_lab.results.extraction.extractor import Reading, Running, StepValues, Task
from tui_lab.results.extraction.files import stream_names, task_files
from tui_lab.results.extraction.numbers import Unrepresentable
from tui_lab.results.extraction.readers import FileReader, TextReader
from tui_lab.results.extraction.records import INDEX, REFUSED, Reader, Record
from tui_lab.results.extraction.slow_search import TooSlowError
from tui_lab.results.extraction.sources.kinds import by_extractor, extractor_of
from tui_lab.results.extraction.step_lines import StepLines
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import read_whole
from tui_lab.results.extraction.values import Scalar, from_json
from tui_lab.store import layout
from tui_lab.store.task_files import TaskFile


def running_by_step(metrics: Mapping[str, Metric]) -> dict[Running, dict[str, Metric]]:
    """Return the metrics of which something that runs may find values by step. Raises LabError."""
    found = {
        one: {name: metric for name, metric in some.items() if one.has_steps(metric)}
        for one, some in by_extractor(metrics, Running).items()
    }
    return {one: some for one, some in found.items() if some}


class StepsReader(Reader):
    """Reads the metrics of a task, or of a run of a stage, step by step."""

    def __init__(self, spec: Experiment, stage: str | None = None) -> None:
        """stage: one before the last; spec is as it has it."""
        super().__init__()
        self._steps = tuple(step.name for step in spec.steps)
        self._texts: list[TextReader] = []
        self._files: list[FileReader] = []
        metrics = spec.metrics_by_stage(spec.metrics).get(stage, {})
        self._running = running_by_step(metrics)
        self._executed: dict[str, StepValues] = {}
        """What was found by running something, by the folder of a task or run."""
        for name, metric in metrics.items():
            extractor = extractor_of(metric)
            if metric.take != "all" or not isinstance(extractor, Reading):
                continue
            try:
                reader = extractor.reader(name, metric)
            except ValueError:
                continue
            if isinstance(reader, TextReader):
                self._texts.append(reader)
            else:
                self._files.append(reader)
        readers: list[TextReader | FileReader] = [*self._texts, *self._files]
        self.types = {one.name: one.type for one in readers}
        for running, some in self._running.items():
            self.types |= {name: running.type(name, metric) for name, metric in some.items() if metric.take == "all"}
        self.patterns = {reader.name: (reader.pattern, reader.metric.source.file or "") for reader in self._texts}

    def prepare(self, execution: Execution, tasks: Sequence[Task]) -> None:
        """Run what finds values by step."""
        if self._running and not execution.trusted:
            self.not_executed = self.not_executed or bool(tasks)
            return
        for extractor, metrics in self._running.items():
            for task, found in extractor.steps(execution, tasks, metrics).items():
                known = self._executed.setdefault(execution.outputs.path(task), StepValues())
                known.values += found.values
                known.slow = known.slow or found.slow
                names = {name for _, name, *_ in found.values}
                self.types |= {name: extractor.type(name, metrics[name]) for name in names}

    def records(self, folder: str, attempt: int, live: bool) -> Iterable[Record]:
        """Return the records of an attempt, one for each step. live: the task still runs."""
        self.slow = False
        self.trouble = ""
        by_step: dict[Any, Record] = {}
        for step, name, value, refused in self._values(folder, attempt, live):
            record = by_step.setdefault(step, {INDEX: step})
            record[name] = value
            if refused:
                record.setdefault(REFUSED, {})[name] = refused
            elif REFUSED in record:
                record[REFUSED].pop(name, None)
        return by_step.values()

    def _values(self, folder: str, attempt: int, live: bool) -> Iterator[tuple[Any, str, Scalar | None, str]]:
        """Step, name and value, and the text that could not be read, or an empty one."""
        yield from self._live_metrics(folder, attempt)
        for reader in self._texts:
            source = reader.metric.source.file or ""
            names = stream_names(source, self._steps)
            try:
                paths = task_files(folder, source, names, attempt)
                text = read_all(paths, live)
            except (OSError, SourceError) as error:
                self._not_read(source, error)
                continue
            try:
                found = list(reader.by_step(text))
            except TooSlowError:
                self.slow = True
                continue
            for step, value, refused in found:
                yield step, reader.name, value, refused
        for file in self._files:
            source = file.metric.source.file or ""
            names = stream_names(source, self._steps)
            streams = None if names is None else task_files(folder, "", names, attempt)
            file.trouble = ""
            try:
                for count, value in enumerate(file.values(folder, streams, live)):
                    yield count, file.name, value, file.refused if value is None else ""
                    file.refused = ""
            except (OSError, SourceError) as error:
                self._not_read(source, error)
            if file.trouble:
                self.trouble = self.trouble or f"{source}: {file.trouble}"

        if (executed := self._executed.get(folder)) is not None:
            self.slow = self.slow or executed.slow
            yield from executed.values

    def _not_read(self, source: str, error: OSError | SourceError) -> None:
        if isinstance(error, SourceError):
            self.trouble = self.trouble or f"{source}: {error}"
        elif not isinstance(error, FileNotFoundError):
            self.trouble = self.trouble or f"{source} {error.strerror or error}"

    def _live_metrics(self, folder: str, attempt: int) -> Iterator[tuple[Any, str, Scalar | None, str]]:
        """The file may be torn at its end: such a line, and others that are no JSON object, are counted."""
        try:
            raw = read_whole(TaskFile(folder, layout.attempt_file(layout.METRICS_FILE, attempt)))
        except OSError as error:
            self._not_read(layout.METRICS_FILE, error)
            return
        lines = StepLines()
        for step, values in lines.read(raw):
            for name, value in values.items():
                if name not in (INDEX, REFUSED):
                    yield step, name, from_json(value, "json"), value if isinstance(value, Unrepresentable) else ""
        self.skipped += lines.skipped
