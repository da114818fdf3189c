"""A value that a Python function finds in a task's folder, once the task has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.experiment.column_type import column_type
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.sources.function import FunctionSource
from tui_lab.experiment.yaml.reader import shortened
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.extractor import Extraction, Running, StepValue, StepValues, Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.function_calls import FunctionCalls, fingerprint, limit_of, parameter_rows
from tui_lab.results.extraction.kept_answers import Answer
from tui_lab.results.extraction.readers import Tally, notation
from tui_lab.results.extraction.values import from_json, json_text, reduce

_STEP: Final = "step"  # among what a function returns together: the step of it


class FunctionExtractor(Running):
    """Calls functions, each once for all metrics that name it."""

    not_tried = "Its function is called when tables are read."

    def has_steps(self, metric: Metric) -> bool:
        return True

    def fingerprint(self, experiment: Experiment, metric: Metric) -> str:
        return fingerprint(_source(metric).called, experiment.folder)

    def forget(self, experiment: Experiment, folder: Path, metric: Metric) -> None:
        FunctionCalls(_source(metric).called, experiment.folder, OutputFolders(folder)).forget()

    def names(
        self,
        experiment: Experiment,
        outputs: OutputFolders,
        tasks: Sequence[Task],
        metric: Metric,
        parameters: pl.DataFrame,
    ) -> Sequence[str]:
        function = _source(metric).called
        calls = FunctionCalls(function, experiment.folder, outputs, limit_of(experiment, function))
        answers = calls.answers(tasks, parameter_rows(experiment, parameters))
        names: dict[str, None] = {}
        for answer in answers:
            if answer.get("single"):
                names[function.name or ""] = None
            else:
                names |= dict.fromkeys(answer.get("values") or ())
            for step in answer.get("steps") or ():
                names |= dict.fromkeys(name for name in step if name != _STEP)
            for row in answer.get("rows") or ():
                names |= dict.fromkeys(row)
        return list(names)

    def values(
        self,
        experiment: Experiment,
        outputs: OutputFolders,
        tasks: Sequence[Task],
        metrics: Mapping[str, Metric],
        parameters: pl.DataFrame,
    ) -> Extraction:
        extraction = Extraction()
        rows = parameter_rows(experiment, parameters)
        answers: dict[str, list[Answer]] = {}
        for name, metric in metrics.items():
            function = _source(metric).called
            if function.text not in answers:
                calls = FunctionCalls(function, experiment.folder, outputs, limit_of(experiment, function))
                answers[function.text] = calls.answers(tasks, rows) if tasks else []
            tally = extraction.tallies[name] = Tally(tasks=len(tasks))
            extraction.types[name] = column_type(metric, None)
            values = extraction.values[name] = []
            for task, answer in zip(tasks, answers[function.text], strict=True):
                refused: list[str] = []
                found = [_converted(value, metric, refused) for value in _found(name, metric, answer)]
                trouble = str(answer.get("error", ""))
                if found:
                    tally.found += 1
                    values.append(reduce(metric.take, found))
                    trouble = f"it returned {refused[0]}" if refused and values[-1] is None else ""
                else:
                    tally.miss(task)
                    values.append(0 if metric.take == "count" and not trouble else None)
                    trouble = trouble or _why_not(_source(metric).value or name, answer)
                if trouble and not tally.trouble:
                    tally.trouble = f"{outputs.called(task[0])}: {function.text}: {trouble}"
        return extraction

    def steps(
        self, execution: Execution, tasks: Sequence[Task], metrics: Mapping[str, Metric]
    ) -> Mapping[int, StepValues]:
        found = {task: StepValues() for task, _ in tasks}
        rows: list[Row] | None = None
        for name, metric in metrics.items():
            function = _source(metric).called
            limit = limit_of(execution.experiment, function)
            calls = FunctionCalls(function, execution.experiment.folder, execution.outputs, limit)
            if rows is None:
                rows = parameter_rows(execution.experiment, execution.parameters(tasks))
            for (task, _), answer in zip(tasks, calls.answers(tasks, rows), strict=True):
                found[task].values += _by_step(name, metric, answer)
        return found


def _source(metric: Metric) -> FunctionSource:
    assert isinstance(metric.source, FunctionSource)
    return metric.source


def _found(name: str, metric: Metric, answer: Answer) -> Iterator[Value]:
    """Yield the values of a metric in what a function has returned; None is none."""
    key = _source(metric).value or name
    values = answer.get("values") or {}
    if answer.get("single"):
        yield from values.values()
    elif values.get(key) is not None:
        yield values[key]
    else:
        several = (*(answer.get("steps") or ()), *(answer.get("rows") or ()))
        yield from (row[key] for row in several if row.get(key) is not None)


def _by_step(name: str, metric: Metric, answer: Answer) -> Iterator[StepValue]:
    """Yield the values by step of a metric: of lists in a dict, and for `take: all` also of a list of dicts."""
    key = _source(metric).value or name
    several = (*(answer.get("steps") or ()), *((answer.get("rows") or ()) if metric.take == "all" else ()))
    for place, row in enumerate(several):
        if row.get(key) is not None:
            refused: list[str] = []
            step = row.get(_STEP)
            known = isinstance(step, int | float) and not isinstance(step, bool)
            value = _converted(row[key], metric, refused)
            yield step if known else place, name, value, refused[0] if refused else ""


def _why_not(key: str, answer: Answer) -> str:
    """Return why there is no value of a name in what a function has returned."""
    if what := (answer.get("not_kept") or {}).get(key):
        return f"what it returned can't be kept: {what}"
    names = dict.fromkeys(answer.get("values") or ())
    for row in (*(answer.get("steps") or ()), *(answer.get("rows") or ())):
        names |= dict.fromkeys(row)
    if not names:
        return "it returned nothing"
    return f'it returned no "{key}", but {shortened(", ".join(names))}'


def _converted(value: Value, metric: Metric, refused: list[str]) -> str | int | float | bool | None:
    found = from_json(value, column_type(metric, None), metric.unit, notation(metric))
    if found is None:
        refused.append(value if isinstance(value, str) else json_text(value))
    return found
