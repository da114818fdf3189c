"""The metrics of many tasks, read from their outputs.

Every file is read once for all the patterns that look at it. Nothing that a program wrote stops the
extraction: a missing file, other bytes than text, a broken document or a value that is no number is a null,
counted for the hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results.extraction.extractor import Extraction, Reading, Task
from tui_lab.results.extraction.files import Names, OutputFolders, stream_names, task_files
from tui_lab.results.extraction.readers import (
    NO_MATCH,
    TOO_SLOW,
    FileReader,
    NoValue,
    Tally,
    TextReader,
)
from tui_lab.results.extraction.sources.kinds import extractor_of
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import (
    BLOCK,
    Text,
    blocks,
    blocks_backwards,
    complete_lines,
    read_up_to,
    read_whole,
)
from tui_lab.results.extraction.values import Scalar
from tui_lab.store.task_files import TaskFile


def extract(
    experiment: Experiment,
    outputs: OutputFolders,
    tasks: Sequence[Task],
    metrics: Mapping[str, Metric] | None = None,
    live: bool = False,
) -> Extraction:
    """Read metrics (by default all that are read from outputs) of tasks, or of runs of a stage; the experiment is then
    as the stage has it. live: programs are still writing, so a last line without an end is not read yet."""
    wanted = experiment.metrics if metrics is None else metrics
    steps = tuple(step.name for step in experiment.steps)
    texts: dict[tuple[str, bool], list[TextReader]] = {}
    files: list[FileReader] = []
    extraction = Extraction()
    for name, metric in wanted.items():
        extractor = extractor_of(metric)
        if not isinstance(extractor, Reading):
            continue
        try:
            reader = extractor.reader(name, metric)
        except ValueError as error:
            extraction.values[name] = [None] * len(tasks)
            extraction.types[name] = "str"
            extraction.tallies[name] = Tally(tasks=len(tasks), trouble=f"path: {error.args[0]}")
            continue
        if isinstance(reader, TextReader):
            texts.setdefault((metric.source.file or "", reader.pattern.spans), []).append(reader)
        else:
            files.append(reader)
        extraction.values[name] = []
        extraction.types[name] = reader.type
        extraction.tallies[name] = Tally(tasks=len(tasks))
    for (source, _), readers in texts.items():
        _read_texts(extraction, outputs, tasks, source, stream_names(source, steps), readers, live)
    for reader in files:
        names = stream_names(reader.metric.source.file or "", steps)
        _read_files(extraction, outputs, tasks, names, reader, live)
    return extraction


def _read_texts(
    extraction: Extraction,
    outputs: OutputFolders,
    tasks: Sequence[Task],
    source: str,
    names: Names | None,
    readers: list[TextReader],
    live: bool,
) -> None:
    """All patterns over one stream or file, of which all or none span lines."""
    # Bound once: this loop runs for every task and pattern.
    sinks = [(r.value, extraction.values[r.name].append, extraction.tallies[r.name], r) for r in readers]
    for task in tasks:
        path = outputs.path(task[0])
        try:
            paths = task_files(path, source, names, task[1])
            text = read_all(paths, live) if readers[0].pattern.spans else read_text(paths, live)
            found = [value_of(text) for value_of, *_ in sinks] if text else read_in_blocks(paths, readers, live)
        except (OSError, SourceError) as error:
            _miss(extraction, outputs, readers, task, error)
            continue
        for value, (_, append, tally, reader) in zip(found, sinks, strict=True):
            if value is NO_MATCH:
                append(0 if reader.take == "count" else None)
                tally.miss(task)
            elif value is TOO_SLOW:
                append(None)
                tally.slow.append(task[0])
            else:
                append(value)  # type: ignore[arg-type]
                tally.found += 1
                if value is None:
                    tally.refuse(reader.refused, task[0])
    for reader in readers:
        extraction.tallies[reader.name].units = reader.units


def _read_files(
    extraction: Extraction,
    outputs: OutputFolders,
    tasks: Sequence[Task],
    names: Names | None,
    reader: FileReader,
    live: bool,
) -> None:
    """One metric in JSON or CSV."""
    append, tally = extraction.values[reader.name].append, extraction.tallies[reader.name]
    for task in tasks:
        path = outputs.path(task[0])
        streams = None if names is None else task_files(path, "", names, task[1])
        reader.trouble = ""
        try:
            value = reader.read(path, streams, live)
        except (OSError, SourceError) as error:
            _miss(extraction, outputs, [reader], task, error)
            continue
        if value is NO_MATCH:
            append(0 if reader.metric.take == "count" else None)
            tally.miss(task)
        else:
            append(value)  # type: ignore[arg-type]
            tally.found += 1
            if value is None:
                tally.refuse(reader.refused, task[0])
        if value is None and reader.trouble and not tally.trouble:
            tally.trouble = f"{outputs.called(task[0])}: {reader.trouble}"
    tally.units = reader.units


def _miss(
    extraction: Extraction,
    outputs: OutputFolders,
    readers: Sequence[TextReader | FileReader],
    task: Task,
    error: Exception,
) -> None:
    """Note a file that is missing, or has another form."""
    absent = isinstance(error, FileNotFoundError)
    if absent:
        extraction.again.add(task[0])
    for reader in readers:
        tally = extraction.tallies[reader.name]
        extraction.values[reader.name].append(0 if reader.metric.take == "count" and not absent else None)
        tally.missing += absent
        tally.miss(task)
        if not absent and not tally.trouble:
            text = error.strerror if isinstance(error, OSError) else str(error)
            tally.trouble = f"{outputs.called(task[0])}: {text}"


def read_text(paths: Sequence[TaskFile], live: bool = False) -> Text | None:
    """The text of a stream, whose files belong one behind the other; None if it is too large for one piece.

    Raises FileNotFoundError if there is none of the files, OSError.
    """
    if len(paths) == 1:
        raw = read_up_to(paths[0], BLOCK)
        if raw is None:
            return None
    else:
        parts = []
        for path in paths:
            try:
                part = read_up_to(path, BLOCK)
            except FileNotFoundError:
                continue
            if part is None:
                return None
            parts.append(part if part.endswith((b"\n", b"\r")) or live else part + b"\n")
        if not parts:
            raise FileNotFoundError(str(paths[0]))
        raw = b"".join(parts)
    return Text(complete_lines(raw) if live else raw)


def read_all(paths: Sequence[TaskFile], live: bool = False) -> Text:
    """The text of a stream in one piece, however large it is: of those of its files that are there. Raises
    FileNotFoundError if there is none of the files, OSError."""
    text = read_text(paths, live)
    if text is None:
        raw = b"\n".join(read_whole(path) for path in paths if path.size is not None)
        text = Text(complete_lines(raw) if live else raw)
    return text


def read_in_blocks(
    paths: Sequence[TaskFile], readers: Sequence[TextReader], live: bool = False
) -> list[Scalar | NoValue | None]:
    """The values of all readers in a large output, of which some MiB are in memory at once.

    Raises OSError.
    """
    present = [path for path in paths if path.size is not None]
    if all(reader.take == "last" for reader in readers):
        found: list[Scalar | NoValue | None] = [NO_MATCH] * len(readers)
        for path in reversed(present):
            for text in blocks_backwards(path, torn_end=not live):
                for i, reader in enumerate(readers):
                    if found[i] is NO_MATCH:
                        found[i] = reader.value(text)
                if NO_MATCH not in found:
                    return found
        return found
    for reader in readers:
        reader.begin()
    for path in present:
        for text in blocks(path, torn_end=not live):
            for reader in readers:
                reader.feed(text)
    return [reader.end() for reader in readers]
