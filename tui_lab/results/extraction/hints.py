"""Hints on metrics that were found nowhere: why, and how to correct their patterns."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.experiment.column_type import ColumnType, column_type
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.patterns.pattern import Pattern, PatternError, compile_pattern
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.extraction.extract import extract, read_all, read_text
from tui_lab.results.extraction.extractor import Reading, Task
from tui_lab.results.extraction.files import OutputFolders, stream_names, task_files
from tui_lab.results.extraction.long import LongTable, Refused
from tui_lab.results.extraction.readers import TextReader
from tui_lab.results.extraction.refused import cut, how_to_read, refused
from tui_lab.results.extraction.row_sources.kinds import rows_reader
from tui_lab.results.extraction.rows import RowsReader, TextRowsReader
from tui_lab.results.extraction.search import last_match, lines_with_match
from tui_lab.results.extraction.slow_search import LIMIT, TooSlowError
from tui_lab.results.extraction.sources.kinds import extractor_of
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import Text
from tui_lab.results.extraction.units import kinds, reciprocal
from tui_lab.store.task_files import TaskFile, listed

TAIL: Final = 1 << 16
"""Bytes at the end of an output too large to be read whole."""
LINES: Final = 5000
"""Lines of an output that are compared with a pattern."""
WORDS: Final = 200
"""Characters of a pattern's plain text that lines are compared with."""


SAMPLES: Final = 3
"""Most tasks without a value whose outputs are read."""


@dataclass(frozen=True)
class Hint:
    """A warning about a metric: what is wrong, and what to do about it (or an empty text)."""

    metric: str
    message: str
    hint: str = ""
    label: str = ""
    """What to call it, where that is something else than `metric "NAME"`."""

    def __str__(self) -> str:
        name = self.label or (self.metric if self.message.startswith("in ") else f'metric "{self.metric}"')
        text = f"{name}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


def too_slow(name: str, tasks: Sequence[int]) -> Hint:
    """Return the hint that a pattern took too long on the output of some tasks."""
    return Hint(
        name,
        f"no value for {_tasks(tasks)}: the pattern took longer than {LIMIT:g} s on the output, and was stopped",
        "nested repeats such as (a+)+ or several .* do that: make it simpler",
    )


def not_kept(name: str, task: int, what: str) -> Hint:
    """Return the hint that a function returned what is no result."""
    return Hint(name, f"can't be kept as a result: it is {what}, as in task {task}", label=f"returned {name}")


def hidden(name: str, column: str) -> Hint:
    """Return the hint that a returned value has no column, because of another one that differs in case only."""
    what = f"it has no column, as {column} differs in case only"
    return Hint(name, what, f"add metrics: {{OTHER_NAME: {{returned: {name}}}}}", label=f"returned {name}")


def without(found: int, tasks: int) -> str:
    """Return the hint that a metric has no value in some or all of the done tasks."""
    if found:
        return f"in {found:,} of {tasks:,} done tasks"
    return "no value in the one finished task" if tasks == 1 else f"no value in any of {tasks:,} finished tasks"


def explain(
    name: str,
    metric: Metric,
    experiment: Experiment,
    outputs: OutputFolders,
    samples: Sequence[Task],
    tasks: int,
    lacking: int | None = None,
) -> Hint:
    """Return why `metric` has no value in `lacking` (by default all) of a number of `tasks`, of which `samples` are
    some."""
    found = 0 if lacking is None else tasks - lacking
    no_value = without(found, tasks)
    where = no_value.removeprefix("no value ")
    tally = extract(experiment, outputs, samples, {name: metric}).tallies.get(name)
    if tally is None:
        return Hint(name, no_value)
    source = metric.source.file or ""
    steps = tuple(step.name for step in experiment.steps)
    task = "" if not found else f"{outputs.called(samples[0][0])}: "
    if tally.missing == len(samples):
        files = _files(source, outputs, samples[0], experiment)
        missing = f"{source} is missing"
        return Hint(name, no_value, f"{missing}; {files}") if found else Hint(name, f"{missing} {where}", files)
    if tally.missing:
        samples = [one for one in samples if _text(source, outputs, one, steps) is not None] or samples
        task = task and f"{outputs.called(samples[0][0])}: "
    if tally.slow:
        return too_slow(name, tally.slow)
    if tally.trouble:
        advice = _quotes(tally.trouble)
        return Hint(name, no_value, f"{source} of {tally.trouble}{'; ' if advice else ''}{advice}")
    if tally.unread:
        matched = "it matched" if metric.source.search is not None else "it is"
        task = f"{outputs.called(tally.example_task)}: " if found else ""
        return Hint(name, no_value, f"{task}{matched} {refused(tally.example, metric, _type(name, metric))}")
    if tally.found and metric.take == "sd":
        return Hint(name, no_value, f"{task}it matched once, and a standard deviation needs two values")
    if metric.source.search is None:
        extractor = extractor_of(metric)
        why = extractor.not_found(metric) if isinstance(extractor, Reading) else ""
        return Hint(name, no_value, f"{task}{why}")
    reader = TextReader(name, metric)
    elsewhere = _elsewhere(reader.pattern, source, outputs, samples, steps)
    if found:
        return Hint(name, no_value, f"{task}its pattern matched nothing; {elsewhere}")
    return Hint(name, f"its pattern matched nothing {where}", elsewhere)


def not_all_read(
    table: LongTable, kind: str, spec: Experiment, outputs: OutputFolders, done: Sequence[Task]
) -> list[Hint]:
    """Return what could not be read for the table `steps` or `rows`; `done` are tasks that should have some."""
    steps = tuple(step.name for step in spec.steps)
    found = []
    label = f"{outputs.experiment.name}_{kind}"
    for one in table.refused:
        metric = (
            spec.metrics.get(one.column) if kind == "steps" or (spec.rows and spec.rows.source.of_metrics) else None
        )
        dtype = table.types.get(one.column, "json")
        unit = metric.unit if metric else None
        kinds = {"float": "numbers", "int": "integers", "bool": "true or false"}.get(dtype, "numbers")
        where = f"task {one.task[0]}"
        if one.column in table.patterns and (line := _line(*table.patterns[one.column], one, outputs, steps)):
            where = f"line {line} of {where}"
        count = f"{one.count:,} of {one.of:,} values {'was' if one.count == 1 else 'were'} not read as {kinds}"
        message = f'{count}{f" in {unit}" if unit else ""} (first: "{cut(one.text)}" in {where})'
        advice = how_to_read(one.text, unit, one.column in table.patterns and dtype in ("float", "int"))
        found.append(Hint(one.column, message, advice, f"{label}.{one.column}"))
    for name, units in table.units.items():
        if several := several_units(name, units, table.bases.get(name), False):
            found.append(replace(several, label=f"{label}.{name}"))
    for text, tasks in list(table.troubles.items())[:SAMPLES]:
        message = f"not all was read of {_tasks(tasks)}: {text}"
        found.append(Hint(kind, message, _quotes(text), label))
    if (more := len(table.troubles) - SAMPLES) > 0:
        found.append(Hint(kind, f"not all was read of others, for {more:,} further reasons", label=label))
    if kind == "rows" and spec.rows and done and not found and not table.slow and table.frame.is_empty():
        found.append(Hint(kind, *_no_rows(rows_reader(spec), outputs, done, spec), label=label))
    if table.slow:
        slow = too_slow(kind, table.slow)
        found.append(Hint(kind, slow.message.replace("no value for", "not all was read of"), slow.hint, label))
    return found


def _no_rows(reader: RowsReader, outputs: OutputFolders, done: Sequence[Task], spec: Experiment) -> tuple[str, str]:
    """Return why `rows` found nothing."""
    where = f"no row in {'the one finished task' if len(done) == 1 else f'any of {len(done):,} finished tasks'}"
    samples, steps = done[:SAMPLES], tuple(step.name for step in spec.steps)
    source = reader.file
    if reader.rows.source.file is None:
        return where, reader.not_found
    try:
        paths = task_files(outputs.path(samples[0][0]), source, stream_names(source, steps), samples[0][1])
        missing = all(path.size is None for path in paths)
    except FileNotFoundError:
        missing = True
    if missing:
        return where, f"{source} is missing; {_files(source, outputs, samples[0], spec)}"
    if isinstance(reader, TextRowsReader):
        return where, _elsewhere(reader.pattern, source, outputs, samples, steps)
    return where, reader.not_found


def _line(
    pattern: Pattern, source: str, one: Refused, outputs: OutputFolders, steps: tuple[str | None, ...]
) -> int | None:
    """Return the line, from 1, of a text that a pattern found; None where that is unknown."""
    try:
        paths = task_files(outputs.path(one.task[0]), source, stream_names(source, steps), one.task[1])
        text = read_all(paths)
        numbers = lines_with_match(pattern, text)
    except (OSError, SourceError, TooSlowError):
        return None
    return next((number + 1 for number in numbers if one.text in text.lines[number]), None)


def _tasks(tasks: Sequence[int]) -> str:
    return f"task {tasks[0]}" + (f" and {len(tasks) - 1:,} more" if len(tasks) > 1 else "")


def _quotes(trouble: str) -> str:
    """Return the advice for a line of a CSV file with more cells than the header; else empty."""
    uneven = " cells, the header " in trouble
    return "with decimal commas, the program has to put quotes around its numbers" if uneven else ""


def _type(name: str, metric: Metric) -> ColumnType:
    return column_type(metric, TextReader(name, metric).pattern if metric.source.search is not None else None)


def several_units(name: str, units: Mapping[str, int], wanted: str | None, stated: bool) -> Hint | None:
    """Return the hint that the values of a metric are in units that can't be compared. stated: the file gives the unit,
    so a bare number is in it."""
    found = kinds(units, wanted)
    target = kinds([wanted]) if wanted else set()
    others = found - target - set(map(reciprocal, target))
    bare = bool(units.get("")) and bool(found) and not stated
    if not bare and (len(found) < 2 or not (others or not wanted)):
        return None
    listed = ", ".join(
        f"{unit or 'none'} ({count:,})" for unit, count in sorted(units.items(), key=lambda item: -item[1])[:4]
    )
    advice = "" if stated else "give its unit, or a pattern that one of them matches"
    return Hint(name, f"its values are in several units: {listed}", advice)


def written_otherwise(name: str, metric: Metric, values: pl.Series) -> Hint | None:
    """Return the hint that the values of a metric in a file are text, though they look like numbers."""
    if values.dtype != pl.String or metric.source.search is not None or metric.take == "count":
        return None
    for text in values.drop_nulls().head(LINES).to_list():
        if _NUMBER_LIKE.fullmatch(text) and (advice := how_to_read(text, metric.unit, False)):
            return Hint(name, f'its values are text: "{cut(text)}" is no number', advice)
    return None


_NUMBER_LIKE: Final = re.compile(r"[-+]?[0-9]{1,3}(?:[.,' ][0-9]+)+")


def _elsewhere(
    pattern: Pattern, source: str, outputs: OutputFolders, samples: Sequence[Task], steps: tuple[str | None, ...]
) -> str:
    """Return where the pattern would have matched, or the line that is most similar."""
    other = {"stdout": "stderr", "stderr": "stdout"}.get(source)
    text = None
    for task in samples:
        beside = _text(other, outputs, task, steps) if other else None
        if beside is not None and _matches(pattern, beside):
            return f"{other} matches: write `from: {other}`"
        text = text or _text(source, outputs, task, steps)
    if text is None or not text.lines:
        return f"{source} of {outputs.called(samples[0][0])} is empty"
    lines = text.lines[-LINES:]
    with suppress(PatternError, TooSlowError):
        loose = compile_pattern(f"(?i){pattern.text}")
        if numbers := lines_with_match(loose, Text("\n".join(lines).encode())):
            return f'without regard to case it would match "{cut(lines[numbers[-1]])}": begin it with (?i)'
        if not pattern.spans and (differing := _but_for_spaces(pattern, lines)):
            return differing
    near = nearest(pattern.words, lines)
    return f'the nearest line is "{cut(near)}"' if near else f'the last line is "{cut(lines[-1])}"'


def _but_for_spaces(pattern: Pattern, lines: Sequence[str]) -> str:
    """Return the hint that a line would match but for spaces, and what to write; empty where none would."""
    dense = Text("\n".join("".join(line.split()) for line in lines).encode())
    squeezed = _with_spaces(pattern.text, "")
    numbers, what = lines_with_match(compile_pattern(squeezed), dense), "only the spaces differ"
    if not numbers:
        numbers, what = lines_with_match(compile_pattern(f"(?i){squeezed}"), dense), "only spaces and case differ"
    if not numbers:
        return ""
    line = lines[numbers[-1]]
    signs = [name for sign, name in _UNSEEN.items() if sign in line]
    seen = f" (with {' and '.join(signs)})" if signs else ""
    flexible = _with_spaces(pattern.text, r"\s*")
    finds = what.startswith("only the") and lines_with_match(compile_pattern(flexible), Text(line.encode()))
    advice = f"{flexible} finds it" if finds else "write them as they are there"
    return f'{what} from "{cut(line)}"{seen}: {advice}'


def _with_spaces(pattern: str, space: str) -> str:
    """A pattern with something else in the place of each white space."""
    return _SPACES.sub(lambda match: match["kept"] or space, pattern)


_SPACES: Final = re.compile(
    r"(?P<kept>\\[^st ]|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[a-z]+\))|(?:\\[st ]|\s)(?:[*+?]\??|\{[0-9,]+\})?", re.DOTALL
)
"""White space in a pattern, and what is to be passed over in search of it."""
_UNSEEN: Final = {"\t": "a tab", "\N{NO-BREAK SPACE}": "a no-break space"}


def _matches(pattern: Pattern, text: Text) -> bool:
    try:
        return last_match(pattern, text) is not None
    except TooSlowError:
        return False


def nearest(words: Sequence[str], lines: Sequence[str]) -> str | None:
    """The line that is most like the plain text of a pattern; None where none is like it."""
    wanted = " ".join(word.strip() for word in words if word.strip()).lower()[:WORDS]
    if not wanted:
        return None
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    best, best_share = None, 0.55
    for line in dict.fromkeys(reversed(lines)):
        matcher.set_seq1(line[: 3 * len(wanted) + 20].lower())
        # How much of the pattern's text the line has, whatever else the line holds.
        share = sum(block.size for block in matcher.get_matching_blocks() if block.size > 1) / len(wanted)
        if share > best_share:
            best, best_share = line, share
    return best


def _text(source: str | None, outputs: OutputFolders, task: Task, steps: tuple[str | None, ...]) -> Text | None:
    names = stream_names(source or "", steps)
    path = outputs.path(task[0])
    try:
        paths = task_files(path, source or "", names, task[1])
        return read_text(paths) or _end(paths[-1])
    except (OSError, SourceError):
        return None


def _end(path: TaskFile) -> Text:
    """The last lines of an output that is too large to be read for a hint."""
    with open(path.open(), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        data = file.read(TAIL)
    return Text(data.partition(b"\n")[2] or data)


def _files(source: str, outputs: OutputFolders, task: Task, experiment: Experiment) -> str:
    """Return the files that exist instead of a missing one."""
    place = Path(outputs.path(task[0]))
    if not place.is_dir():
        return "the task's folder is not here"
    found = [name for name, _ in listed(place)]
    if near := suggest(source, found):
        return near
    names = ", ".join(found[:6]) + (", ..." if len(found) > 6 else "")
    return f"{outputs.called(task[0])} has {names}" if found else f"{outputs.called(task[0])} wrote no file"
