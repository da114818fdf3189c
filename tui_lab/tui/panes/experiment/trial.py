"""A metric, or `rows`, tried on the real output of a task, as it will be read. Functions for thread workers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from tui_lab.experiment.metric import Metric, Rows
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.patterns.pattern import Pattern
from tui_lab.experiment.readers.metrics import read_metrics
from tui_lab.experiment.readers.rows import read_rows
from tui_lab.experiment.yaml.document import Node
from tui_lab.experiment.yaml.parser import Document, parse
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.experiment.yaml.reader import Reader
from tui_lab.results.extraction.extract import extract, read_text
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import OutputFolders, stream_names, task_files, task_path
from tui_lab.results.extraction.hints import explain
from tui_lab.results.extraction.readers import NoValue, TextReader
from tui_lab.results.extraction.records import Record
from tui_lab.results.extraction.row_sources.kinds import rows_reader
from tui_lab.results.extraction.rows import RowsReader, TextRowsReader
from tui_lab.results.extraction.search import line_places
from tui_lab.results.extraction.slow_search import Found, SlowSearch, TooSlowError
from tui_lab.results.extraction.sources.kinds import extractor_of
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import Text, blocks_backwards
from tui_lab.results.extraction.values import Scalar, reduce
from tui_lab.results.terminal.guard import replaced
from tui_lab.store import fold, mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab

PATIENCE: Final = 2.0
"""Seconds of CPU time that a pattern may take for one output: some take years."""
QUICK: Final = 0.3
"""Seconds of CPU time below which a pattern is tried again, for a hint."""
MOST: Final = 5000
"""Most lines with a match that are analysed."""

NO_METRIC: Final = "A metric, or rows, under the cursor is tried here on a real output"
"""What is said where the cursor is elsewhere."""


@dataclass(frozen=True)
class Asked:
    """What to try: a metric or `rows` as the text has it, and which output (0: of the task that ended last)."""

    experiment: str
    name: str
    what: Metric | Rows
    steps: tuple[str | None, ...] = (None,)
    which: int = 0
    metrics: tuple[tuple[str, Metric], ...] = ()
    """Those that the pieces of an output are searched for: the columns of `rows` with `each`."""

    @property
    def metric(self) -> Metric:
        """The metric to try. Only where `what` is one."""
        assert isinstance(self.what, Metric)
        return self.what


@dataclass(frozen=True)
class Column:
    """A column of `rows`: in how many of them it has a value."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class Line:
    """A line of an output, with the places where a pattern matches."""

    number: int
    """From 0."""
    text: str
    spans: tuple[tuple[int, int], ...] = ()
    """Where the pattern matches."""


@dataclass(frozen=True)
class Trial:
    """The result of a trial."""

    asked: Asked
    task: Task | None = None
    outputs: int = 0
    """Outputs that there are to choose from."""
    source: str = ""
    lines: tuple[Line, ...] = ()
    focus: int = 0
    """The line with the match that counts, by its place in `lines`; else where to look first."""
    value_span: tuple[int, int] | None = None
    """In the line of `focus`: the text that becomes the value."""
    matches: int = 0
    found: bool = False
    value: Scalar | None = None
    type: str = ""
    columns: tuple[Column, ...] = ()
    """Those of `rows`, whose number is in `matches`."""
    message: str = ""
    """Why there is nothing to see."""
    hint: str = ""


def metric_at(document: Document, line: int) -> str | None:
    """The metric that a line (from 0) belongs to."""
    node = document.node(("metrics",))
    if node is None or node.kind != "mapping":
        return None
    found = None
    for name, (key, value) in node.entries.items():
        if _within(document, key, value, line):
            found = name
    return found


def _within(document: Document, key: Node, value: Node, line: int) -> bool:
    first = document.text.place(key.start)[0] - 1
    last = document.text.place(max(value.end - 1, key.start))[0] - 1
    return first <= line <= max(first, last)


def asked_at(path: Path, text: str, line: int, which: int = 0) -> Asked | str:
    """The metric in that line, read on its own so that mistakes elsewhere don't matter; or why there is none."""
    try:
        document = parse(text, str(path))
    except SpecError:
        return "This can't be read as YAML yet."
    name = metric_at(document, line)
    top, reader = document.node(()), Reader(document, path.parent)
    what: Metric | Rows | None = None
    metrics: dict[str, Metric] = {}
    if name is not None:
        what = read_metrics(reader, ("metrics",)).get(name)
    elif top is not None and not reader.empty(("rows",)) and _within(document, *top.entries["rows"], line):
        name, what = "rows", read_rows(reader, ("rows",))
        if what is not None and what.source.of_metrics:
            metrics = read_metrics(Reader(document, path.parent), ("metrics",))
    else:
        return NO_METRIC
    if what is None:
        return f"{name} has a mistake: see its line."
    given, command = document.node(("name",)), document.node(("command",))
    named = given is not None and isinstance(given.value, str) and given.value
    steps = tuple(command.entries) if command is not None and command.kind == "mapping" else (None,)
    return Asked(str(named or path.stem), name, what, steps, which, tuple(metrics.items()))


class Outputs:
    """The tasks of experiments whose output can be read, the last that ended first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[Path, ExperimentFolder] = {}

    def of(self, folder: Path) -> list[Task]:
        """Return done tasks; where there are none, others that have ended. Raises LabError."""
        with self._lock:
            known = self._folders.setdefault(folder, ExperimentFolder(folder))
            if not known.exists():
                return []
            state = known.state()
            attempt = np.frombuffer(state.columns["attempt"], dtype=np.int32).copy()
            ended = np.frombuffer(state.columns["ended"], dtype=np.float64).copy()
            done = np.frombuffer(state.columns["state"], dtype=np.int8) == fold.DONE
        with_output = (attempt > 0) & np.isfinite(ended)
        chosen = np.flatnonzero(with_output & done if (with_output & done).any() else with_output)
        newest = chosen[np.argsort(-ended[chosen], kind="stable")]
        return [(int(task), int(attempt[task])) for task in newest[:1000]]


def try_out(lab: Lab | None, asked: Asked, outputs: Outputs) -> Trial:
    """Read the metric from one output. Whatever is wrong is in the trial."""
    nothing = Trial(asked)
    if lab is None:
        return replace(nothing, message="No task has run yet: there is no output to try it on.")
    folder = lab.path / asked.experiment
    try:
        tasks = outputs.of(folder)
    except LabError as error:
        return replace(nothing, message=str(error))
    if not tasks:
        return replace(
            nothing, message=f"No task of {asked.experiment} has ended yet: there is no output to try it on."
        )
    trial = replace(nothing, outputs=len(tasks), task=tasks[asked.which % len(tasks)])
    side = mirrors.other_side(lab.path)
    if side is not None:
        try:
            side.fetch(asked.experiment, tasks[asked.which % len(tasks)][0])
        except LabError as error:
            return replace(trial, message=str(error))
    if isinstance(asked.what, Rows):
        return _try_rows(trial, asked.what, folder)
    metric = asked.metric
    try:
        why = extractor_of(metric).not_tried
    except LabError as error:
        why = str(error)
    if why:
        return replace(trial, message=why)
    if metric.source.search is None:
        return _try_file(trial, folder)
    return _try_pattern(trial, folder)


def _try_file(trial: Trial, folder: Path) -> Trial:
    """A value in JSON or CSV."""
    asked, task = trial.asked, trial.task
    assert task is not None
    stub = _stub(asked)
    found = extract(stub, OutputFolders(folder), [task], {asked.name: asked.metric})
    tally = found.tallies[asked.name]
    source = asked.metric.source.file or ""
    trial = replace(trial, source=source, type=found.types[asked.name], value=found.values[asked.name][0])
    if tally.found:
        return replace(trial, found=True, matches=1)
    return replace(trial, hint=_hint(trial, stub, folder))


def _try_pattern(trial: Trial, folder: Path) -> Trial:
    asked, task = trial.asked, trial.task
    assert task is not None
    metric = asked.metric
    reader = TextReader(asked.name, metric)
    source = metric.source.file or ""
    trial = replace(trial, source=source, type=reader.type)
    try:
        text, offset = _text(source, folder, task, asked.steps)
    except FileNotFoundError:
        return replace(trial, hint=_hint(trial, _stub(asked), folder) or f"{source} is missing")
    except (OSError, SourceError) as error:
        return replace(trial, message=str(error))
    search = SlowSearch(reader.pattern, PATIENCE)
    try:
        count, found, spans = _where(search, reader.pattern, text)
    except TooSlowError:
        return _too_long(trial)
    if not found:
        lines = _lines(text.lines, spans, len(text.lines) - 1, offset)
        hint = _hint(trial, _stub(asked), folder) if search.took < QUICK else ""
        return _at_nearest(replace(trial, lines=lines, focus=len(lines) - 1, hint=hint), text.lines, offset)
    numbers = sorted(found)
    focus = numbers[0] if reader.take == "first" else numbers[-1]
    of_matches = [reader.of(match) for number in numbers for match in found[number]]
    values = [value for value in of_matches if not isinstance(value, NoValue)]
    chosen = found[focus][0] if reader.take == "first" else found[focus][-1]
    value = count if reader.take == "count" else reduce(reader.take, values)
    lines = _lines(text.lines, spans, focus, offset)
    place = next(i for i, line in enumerate(lines) if line.number == focus + offset)
    return replace(
        trial,
        lines=lines,
        focus=place,
        value_span=_value_span(reader.pattern, chosen),
        matches=count,
        found=True,
        value=value,
    )


def _try_rows(trial: Trial, rows: Rows, folder: Path) -> Trial:
    asked, task = trial.asked, trial.task
    assert task is not None
    spec = replace(_stub(asked), rows=rows, metrics=dict(asked.metrics))
    try:
        reader = rows_reader(spec)
    except LabError as error:
        return replace(trial, message=str(error))
    trial = replace(trial, source=reader.file)
    if reader.not_tried:
        return replace(trial, message=reader.not_tried)
    if not isinstance(reader, TextRowsReader):
        records = list(reader.records(task_path(folder, task[0]), task[1], False))
        return _rows_found(trial, reader, records)
    try:
        text, offset = _text(reader.file, folder, task, asked.steps)
    except FileNotFoundError:
        return replace(trial, hint=f"{reader.file} is missing")
    except (OSError, SourceError) as error:
        return replace(trial, message=str(error))
    try:
        _, _, spans = _where(SlowSearch(reader.pattern, PATIENCE), reader.pattern, text)
        records = list(reader.find(text))
    except TooSlowError:
        return _too_long(trial)
    if reader.slow:
        return _too_long(trial)
    focus = max(spans, default=len(text.lines) - 1)
    lines = _lines(text.lines, spans, focus, offset)
    place = next((i for i, line in enumerate(lines) if line.number == focus + offset), 0)
    trial = replace(trial, lines=lines, focus=place)
    return _rows_found(trial, reader, records)


def _rows_found(trial: Trial, reader: RowsReader, records: Sequence[Record]) -> Trial:
    columns = [
        Column(name, type, sum(record.get(name) is not None for record in records))
        for name, type in reader.types.items()
    ]
    return replace(trial, found=bool(records), matches=len(records), columns=tuple(columns))


def _too_long(trial: Trial) -> Trial:
    took = f"It takes more than {PATIENCE:g} s for this output."
    return replace(trial, message=took, hint="Nested repeats such as (a+)+ do that: make it simpler.")


_Spans = dict[int, list[tuple[int, int]]]
"""What matches cover, in each line by its number."""


def _value_span(pattern: Pattern, match: Found) -> tuple[int, int]:
    group = pattern.value
    if group < 0:
        group = next((i for i, part in enumerate(match.groups(), 1) if part is not None), 0)
    return match.span(group)


def _where(search: SlowSearch, pattern: Pattern, text: Text) -> tuple[int, dict[int, list[Found]], _Spans]:
    """Return the number of matches, those in at most MOST lines by the line of their value, and what they cover. Raises
    TooSlowError."""
    if not pattern.spans:
        count, found = search.where(text.lines, MOST)
        return count, found, {number: [match.span() for match in matches] for number, matches in found.items()}
    matches = list(search.all([text.whole]))
    kept = matches if len(matches) <= MOST else matches[: MOST // 2] + matches[-MOST // 2 :]
    placed: dict[int, list[Found]] = {}
    spans: _Spans = {}
    places = line_places(text, (max(_value_span(pattern, match)[0], match.span()[0]) for match in kept))
    for match, (number, begin) in zip(kept, places, strict=True):
        shifted = Found(match.texts, tuple((start - begin, end - begin) for start, end in match.spans))
        placed.setdefault(number, []).append(shifted)
    for (number, begin), match in zip(line_places(text, [match.span()[0] for match in kept]), kept, strict=True):
        start, end = match.span()
        while begin < max(end, start + 1) and number < len(text.lines):
            length = len(text.lines[number])
            spans.setdefault(number, []).append((max(start - begin, 0), min(end - begin, length)))
            number, begin = number + 1, begin + length + 1
    return len(matches), placed, spans


AROUND: Final = 40
"""Lines on either side of the match that are kept for the screen."""


def _lines(lines: Sequence[str], spans: dict[int, list[tuple[int, int]]], focus: int, offset: int) -> tuple[Line, ...]:
    first = max(0, focus - AROUND)
    shown = range(first, min(len(lines), focus + AROUND + 1))
    return tuple(Line(i + offset, lines[i], tuple(spans.get(i, ()))) for i in shown)


def _at_nearest(trial: Trial, lines: Sequence[str], offset: int) -> Trial:
    """Look at the line that the hint quotes, if it quotes one."""
    _, quote, rest = trial.hint.partition('"')
    wanted = rest.partition('"')[0].removesuffix("...")
    if quote and wanted:
        for i in range(len(lines) - 1, -1, -1):
            if wanted in replaced(lines[i]):
                shown = _lines(lines, {}, i, offset)
                place = next(k for k, line in enumerate(shown) if line.number == i + offset)
                return replace(trial, lines=shown, focus=place)
    return trial


def _text(source: str, folder: Path, task: Task, steps: tuple[str | None, ...]) -> tuple[Text, int]:
    """Return the lines of an output (of a large one its end), and how many lines are known to come before. Raises
    OSError, SourceError."""
    names = stream_names(source, steps)
    path = task_path(folder, task[0])
    paths = task_files(path, source, names, task[1])
    text = read_text(paths)
    if text is not None:
        return text, 0
    return next(iter(blocks_backwards(paths[-1])), Text(b"")), 0


def _stub(asked: Asked) -> Experiment:
    """Return an experiment with only what reading outputs needs: its steps."""
    named = {step: "true" for step in asked.steps if step is not None}
    return Experiment(name=asked.experiment, command=named or "true")


def _hint(trial: Trial, stub: Experiment, folder: Path) -> str:
    assert trial.task is not None
    hint = explain(trial.asked.name, trial.asked.metric, stub, OutputFolders(folder), [trial.task], 1)
    return hint.hint or hint.message
