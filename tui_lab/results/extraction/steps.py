"""Values by step: live metrics, and metrics of which all values are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tui_lab.experiment.column_type import column_type
from tui_lab.experiment.model import Experiment
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.extract import read_all
from tui_lab.results.extraction.extractor import Reading, Running, StepValue, Task
from tui_lab.results.extraction.files import stream_names, task_files
from tui_lab.results.extraction.numbers import Unrepresentable, number
from tui_lab.results.extraction.readers import FileReader, NoValue, TextReader
from tui_lab.results.extraction.records import INDEX, REFUSED, Reader, Record
from tui_lab.results.extraction.search import all_matches
from tui_lab.results.extraction.slow_search import TooSlowError
from tui_lab.results.extraction.sources.kinds import by_extractor, extractor_of
from tui_lab.results.extraction.structured import SourceError, loads
from tui_lab.results.extraction.text import Text, complete_lines, read_whole
from tui_lab.results.extraction.values import Scalar, from_json
from tui_lab.store import layout
from tui_lab.store.task_files import TaskFile


class StepsReader(Reader):
    """Reads the metrics of a task, or of a run of a stage, step by step."""

    def __init__(self, spec: Experiment, stage: str | None = None) -> None:
        """stage: one before the last; spec is as it has it."""
        super().__init__()
        self._steps = tuple(step.name for step in spec.steps)
        self._texts: list[TextReader] = []
        self._files: list[FileReader] = []
        metrics = spec.metrics_by_stage(spec.metrics).get(stage, {})
        self._running = {one: some for one, some in by_extractor(metrics, Running).items() if one.by_step}
        self._executed: dict[str, list[StepValue]] = {}
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
        self.patterns = {reader.name: (reader.pattern, reader.metric.source.file or "") for reader in self._texts}

    def prepare(self, execution: Execution, tasks: Sequence[Task]) -> None:
        """Run what finds values by step."""
        if self._running and not execution.trusted:
            self.not_executed = self.not_executed or bool(tasks)
            return
        for extractor, metrics in self._running.items():
            for task, values in extractor.steps(execution, tasks, metrics).items():
                self._executed.setdefault(execution.outputs.path(task), []).extend(values)
                self.types |= {name: column_type(metrics[name], None) for _, name, *_ in values}

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
                found = list(_by_step(reader, text))
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

        yield from self._executed.get(folder, ())

    def _not_read(self, source: str, error: OSError | SourceError) -> None:
        if isinstance(error, SourceError):
            self.trouble = self.trouble or f"{source}: {error}"
        elif not isinstance(error, FileNotFoundError):
            self.trouble = self.trouble or f"{source} {error.strerror or error}"

    def _live_metrics(self, folder: str, attempt: int) -> Iterator[tuple[Any, str, Scalar | None, str]]:
        """The file may be torn at its end, and may hold anything at all: lines that are no JSON object are
        counted."""
        try:
            raw = read_whole(TaskFile(folder, layout.attempt_file(layout.METRICS_FILE, attempt)))
        except OSError as error:
            self._not_read(layout.METRICS_FILE, error)
            return
        count = 0
        for line in complete_lines(raw).splitlines() + ([raw[raw.rfind(b"\n") + 1 :]] if raw else []):
            if not line.strip():
                continue
            try:
                document = loads(line)
            except ValueError:
                self.skipped += 1
                continue
            if not isinstance(document, dict):
                self.skipped += 1
                continue
            step = document.pop("step", None)
            if isinstance(step, bool) or not isinstance(step, (int, float)):
                step, count = count, count + 1
            for name, value in document.items():
                if name not in (INDEX, REFUSED):
                    yield step, name, from_json(value, "json"), value if isinstance(value, Unrepresentable) else ""


def _by_step(reader: TextReader, text: Text) -> Iterator[tuple[Any, Scalar | None, str]]:
    step_group = reader.pattern.step
    for count, match in enumerate(all_matches(reader.pattern, text)):
        step: Any = count
        if step_group is not None and match[step_group] is not None:
            step = _number(match[step_group])
        value = reader.of(match)
        if isinstance(value, NoValue):
            yield step, None, ""
        else:
            yield step, value, reader.refused if value is None else ""


def _number(text: str) -> int | float | str:
    found = number(text)
    return text if found is None else found
