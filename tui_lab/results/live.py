"""What running tasks say while they run: their last values, curves, and steps.

Files are followed by their offsets: each byte is read once, however often `LiveReader.read` is called. Values come from
live metrics (`$TUI_LAB_METRICS`), and from what patterns find in outputs.
"""

from __future__ import annotations

import base64
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tui_lab.experiment.model import Experiment
from tui_lab.protocol.control import Piece, ReadFile
from tui_lab.results.curves import Curve, CurvePoints
from tui_lab.results.extraction.extractor import Reading
from tui_lab.results.extraction.files import Names, stream_names, task_files, task_path
from tui_lab.results.extraction.readers import TextReader
from tui_lab.results.extraction.records import INDEX, REFUSED
from tui_lab.results.extraction.slow_search import TooSlowError
from tui_lab.results.extraction.sources.kinds import extractor_of
from tui_lab.results.extraction.step_lines import StepLines
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import Text, complete_lines
from tui_lab.results.extraction.values import from_json
from tui_lab.store import layout, mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.task_files import TaskFile

PIECE: Final = 1 << 18
"""Bytes that are read of a file at once."""
FAR: Final = 1 << 22
"""Bytes that are caught up with; of what is further behind, only the end is read."""
BUDGET: Final = 0.05
"""Seconds that a call may take."""
MOST: Final = 64
"""Tasks whose files are read in a call; the others' turn comes in the next one."""
KEPT: Final = 256
"""Tasks whose values are kept although no one asks for them."""
METRICS: Final = 64
"""Metrics of a task that are followed."""
END: Final = 1 << 14
"""Bytes at the end of live metrics in which the last step of a done task is looked for."""
ENDS: Final = 20
"""Done tasks whose last steps are read, to know how many steps a task has."""
_SUMMED: Final = ("count", "sum", "sd", "first")
"""What is made of all values, or of the first, says nothing about how a task goes."""

Ask = Callable[[ReadFile], Piece]
"""The engine's `request`."""


@dataclass(frozen=True, slots=True)
class LiveTask:
    """What a task has said so far. at: seconds since 1970, when it said something last; 0 if it said nothing."""

    last: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    step: float | None = None
    at: float = 0.0


class LiveReader:
    """Follows the running tasks of one experiment. `read` and `ends` block, and belong in one thread at a time.

    ask: the engine's `request`, for outputs that are on other machines. metrics: the names of those that were seen, the
    one that says most about a task first.
    """

    def __init__(self, path: Path, spec: Experiment, ask: Ask | None = None) -> None:
        """path: of the experiment's folder. spec: of its newest submission."""
        self.metrics: tuple[str, ...] = ()
        self._path = path
        self._name = path.name
        self._ask = ask
        self._side = mirrors.other_side(path.parent)  # then all outputs are on that machine
        self._sources = _sources(spec)
        goals = [name for name, metric in spec.metrics.items() if metric.goal]
        self._order = tuple(dict.fromkeys([*goals, *spec.metrics]))
        self._known: dict[tuple[int, int], _Followed] = {}
        self._ends: dict[tuple[int, int], tuple[float | None, bool]] = {}
        self._next = 0
        self._names_steps = False  # tasks say their steps; what is counted in others is none of these

    def read(self, wanted: Sequence[tuple[int, int]]) -> dict[int, LiveTask]:
        """Return what is known about some tasks, each given with its attempt, by task: with what is new of some of
        them."""
        began = time.monotonic()
        followed = [self._follow(one) for one in wanted]
        start = self._next % len(followed) if followed else 0
        turn = [*followed[start:], *followed[:start]][:MOST]
        read = 0
        if self._side is not None:
            self._advance_there(self._side, turn)
            read, turn = len(turn), []
        while turn and time.monotonic() - began < BUDGET:
            behind = []
            for one in turn:
                if time.monotonic() - began > BUDGET:
                    break
                read += 1
                if self._advance(one):
                    behind.append(one)
            turn = behind
        self._next = start + max(1, min(read, MOST))
        self._note_metrics(followed)
        self._names_steps = self._names_steps or any(one.names_steps for one in followed)
        return {one.task: one.now(self._names_steps) for one in followed}

    def ends(self, done: Sequence[tuple[int, int]]) -> list[float]:
        """Return the last steps of some of these done tasks, each given with its attempt: of those that are known by
        now."""
        began = time.monotonic()
        wanted = done[-ENDS:]
        for one in wanted:
            if one not in self._ends:
                if time.monotonic() - began > BUDGET:
                    break
                self._ends[one] = self._end(one)
                self._names_steps = self._names_steps or self._ends[one][1]
        known = [self._ends[one] for one in wanted if one in self._ends]
        return [end for end, named in known if end is not None and named >= self._names_steps]

    def _follow(self, one: tuple[int, int]) -> _Followed:
        found = self._known.pop(one, None)
        if found is None:
            found = _Followed(*one)
            for old in list(self._known)[: max(0, len(self._known) - KEPT)]:
                del self._known[old]
        self._known[one] = found  # the oldest ones first
        return found

    def _end(self, one: tuple[int, int]) -> tuple[float | None, bool]:
        """Return the last step of a task that has ended, and whether it said it: then a look at the end of a file is
        enough."""
        lines = StepLines()
        try:
            raw = self._metrics_end(*one)
            steps = [step for step, _ in lines.read(raw) if math.isfinite(step)]
        except OSError:
            steps = []
        if steps and lines.is_numbered and not lines.count:
            return max(steps), True
        followed, began = _Followed(*one), time.monotonic()
        if self._side is not None:
            for _ in range(2):  # of a large output the second one reads the end
                self._advance_there(self._side, [followed])
            return followed.step, followed.names_steps
        while self._advance(followed) and time.monotonic() - began < BUDGET:
            pass
        return followed.step, followed.names_steps

    def _metrics_end(self, task: int, attempt: int) -> bytes:
        """Return the whole lines at the end of live metrics. Raises OSError."""
        name = layout.attempt_file(layout.METRICS_FILE, attempt)
        if self._side is None:
            return _tail(TaskFile(task_path(self._path, task), name))
        try:
            [(total, data)] = self._side.tails(self._name, [(task, attempt, name, -END)], END)
        except LabError as error:
            raise OSError(str(error)) from None
        return data[data.find(b"\n") + 1 :] if total > END else data

    def _note_metrics(self, followed: Sequence[_Followed]) -> None:
        names = {name for one in followed for name in one.last} - set(self.metrics)
        if names:
            seen = dict.fromkeys([*self.metrics, *sorted(names)])
            self.metrics = tuple(sorted(seen, key=lambda name: _place(self._order, name)))

    # --- Files

    def _advance(self, one: _Followed) -> bool:
        """Read what is new of a task. Return whether there may be more."""
        folder = task_path(self._path, one.task)
        more = False
        try:
            file = TaskFile(folder, layout.attempt_file(layout.METRICS_FILE, one.attempt))
            piece = _local(file, one.cursor(file.name), one)
            if piece.data:
                one.take_lines(piece.data)
            more = piece.more
        except OSError:
            pass
        for source, readers in self._sources.items():
            names = source.names
            try:
                files = task_files(folder, source.name, names, one.attempt)
            except (OSError, SourceError):
                continue
            for file in files:
                piece = self._piece(file, one, remote=names is not None)
                if piece.data:
                    text = Text(piece.data)
                    for reader in readers:
                        one.take_text(reader, text)
                more = more or piece.more
        return more

    def _advance_there(self, side: mirrors.OtherSide, turn: Sequence[_Followed]) -> None:
        """Read what is new of some tasks of a lab on another machine, of all at once: the way there is long."""
        asked: list[tuple[_Followed, str, list[TextReader] | None]] = []
        for one in turn:
            asked.append((one, layout.attempt_file(layout.METRICS_FILE, one.attempt), None))
            for source, readers in self._sources.items():
                names = [source.name] if source.names is None else source.names(one.attempt)
                asked += [(one, name, readers) for name in names]
        wanted = [(one.task, one.attempt, name, one.cursor(name).offset) for one, name, _ in asked]
        try:
            found = side.tails(self._name, wanted, PIECE) if wanted else []
        except LabError:
            return
        for (one, name, patterns), (total, data) in zip(asked, found, strict=False):
            cursor = one.cursor(name)
            offset = cursor.offset
            if total < 0 or cursor.begin(0, total, one) != offset or not data:
                continue  # the next call reads there
            one.at = time.time()
            whole = cursor.take(data, total).data
            if patterns is None:
                one.take_lines(whole)
                continue
            text = Text(whole)
            for reader in patterns:
                one.take_text(reader, text)

    def _piece(self, file: TaskFile, one: _Followed, remote: bool) -> _Piece:
        """Return what is new of an output; remote: it may be on another machine."""
        try:
            return _local(file, one.cursor(file.name), one)
        except FileNotFoundError:
            if remote and self._ask is not None:
                return self._fetched(self._ask, file, one)
        except OSError:
            pass
        return _Piece()

    def _fetched(self, ask: Ask, file: TaskFile, one: _Followed) -> _Piece:
        cursor = one.cursor(file.name)
        key = (self._name, one.task, one.attempt, file.name)
        try:
            total = ask(ReadFile(*key, 0, 0)).total
            if cursor.begin(0, total, one) >= total:
                return _Piece()
            answer = ask(ReadFile(*key, cursor.offset, PIECE))
            data = base64.b64decode(answer.data or "")
        except (LabError, ValueError):
            return _Piece()
        if data:
            one.at = time.time()
        return cursor.take(data, total)


@dataclass(frozen=True)
class _Source:
    """An output or a file that patterns look at."""

    name: str
    names: Names | None


def _sources(spec: Experiment) -> dict[_Source, list[TextReader]]:
    """Return the patterns for numbers, by where they look. A pattern that spans lines is left out: pieces may part what
    it finds."""
    steps = tuple(step.name for step in spec.steps)
    by_name: dict[str, list[TextReader]] = {}
    for name, metric in spec.metrics_by_stage(spec.metrics).get(None, {}).items():
        extractor = extractor_of(metric)
        if metric.take in _SUMMED or not isinstance(extractor, Reading):
            continue
        try:
            reader = extractor.reader(name, metric)
        except ValueError:
            continue
        if isinstance(reader, TextReader) and not reader.pattern.spans and reader.type in ("float", "int"):
            by_name.setdefault(metric.source.file or "", []).append(reader)
    return {_Source(name, stream_names(name, steps)): readers for name, readers in by_name.items()}


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


# --- Where a file is read


@dataclass(frozen=True, slots=True)
class _Piece:
    data: bytes = b""
    more: bool = False


class _Cursor:
    """How far a file was read."""

    def __init__(self) -> None:
        self.offset = 0
        self._inode = 0
        self._is_torn = False
        """The next line was begun before what is read."""

    def begin(self, inode: int, size: int, one: _Followed) -> int:
        """Return where to read on. A file that was cut or replaced is read from its beginning, and what it said is
        forgotten."""
        if (self._inode and inode != self._inode) or size < self.offset:
            one.forget()
            self.offset = 0
        self._inode = inode
        if size - self.offset > FAR:
            self.offset, self._is_torn = size - PIECE, True
            one.has_all = False
        return self.offset

    def take(self, data: bytes, size: int) -> _Piece:
        """Return the whole lines of what was read."""
        whole = complete_lines(data)
        if not whole and len(data) >= PIECE:  # one line, and longer than any that is read
            self.offset, self._is_torn = self.offset + len(data), True
            return _Piece(b"", self.offset < size)
        self.offset += len(whole)
        more = bool(whole) and self.offset < size
        if self._is_torn and whole:
            self._is_torn = False
            whole = whole[min(at for at in (whole.find(b"\n"), whole.find(b"\r")) if at >= 0) + 1 :]
        return _Piece(whole, more)


def _local(file: TaskFile, cursor: _Cursor, one: _Followed) -> _Piece:
    descriptor = file.open()
    try:
        facts = os.fstat(descriptor)
        if cursor.begin(facts.st_ino, facts.st_size, one) == facts.st_size:
            return _Piece()
        data = os.pread(descriptor, PIECE, cursor.offset)
    finally:
        os.close(descriptor)
    one.at = max(one.at, facts.st_mtime)
    return cursor.take(data, facts.st_size)


def _tail(file: TaskFile, count: int = END) -> bytes:
    """Return the whole lines at the end of a file. Raises OSError."""
    descriptor = file.open()
    try:
        start = max(0, os.fstat(descriptor).st_size - count)
        data = os.pread(descriptor, count, start)
    finally:
        os.close(descriptor)
    return data[data.find(b"\n") + 1 :] if start else data


# --- What a task has said


class _Followed:
    def __init__(self, task: int, attempt: int) -> None:
        self.task, self.attempt = task, attempt
        self.at = 0.0
        self._cursors: dict[str, _Cursor] = {}
        self.forget()

    def forget(self) -> None:
        """Begin again with all files."""
        self.has_all = True  # nothing was passed over: what is counted is right
        self.last: dict[str, float] = {}
        self._curves: dict[str, CurvePoints] = {}
        self._lines = StepLines()
        self._step: float | None = None  # the largest that a task names
        self._counts: dict[str, int] = {}  # matches of patterns that name no step
        self._slow: set[str] = set()
        self._now: LiveTask | None = None
        for cursor in self._cursors.values():
            cursor.offset = 0

    def cursor(self, name: str) -> _Cursor:
        """Return how far a file was read."""
        return self._cursors.setdefault(name, _Cursor())

    @property
    def step(self) -> float | None:
        """The step that the task has reached; None where it says nothing about steps."""
        if self._step is not None:
            return self._step
        most = max([self._lines.count, *self._counts.values()])
        return float(most) if most and self.has_all else None

    @property
    def names_steps(self) -> bool:
        """Whether it says its steps: else values are counted."""
        return self._step is not None

    def now(self, named: bool) -> LiveTask:
        """Return what it has said so far; the same object while nothing is new. named: only a step that it says."""
        step = self._step if named else self.step
        if self._now is None or (self._now.at, self._now.step) != (self.at, step):
            curves = {name: points.curve() for name, points in self._curves.items()}
            self._now = LiveTask(dict(self.last), curves, step, self.at)
        return self._now

    def take_lines(self, data: bytes) -> None:
        """Take in lines of live metrics."""
        self._now = None
        lines, before = self._lines, self._lines.count
        for step, values in lines.read(data):
            for name, value in values.items():
                if type(value) is float or type(value) is int:
                    self._add(name, step, float(value) if type(value) is float else _float(value))
                elif type(value) is str and name not in (INDEX, REFUSED):
                    found = from_json(value, "float")
                    if isinstance(found, float) and not math.isfinite(found):  # as JSON of some programs has them
                        self._add(name, step, found)
            if lines.count == before and math.isfinite(step) and (self._step is None or step > self._step):
                self._step = float(step)
            before = lines.count

    def take_text(self, reader: TextReader, text: Text) -> None:
        """Take in what a pattern finds in some lines."""
        name = reader.name
        if name in self._slow:
            return
        count = self._counts.get(name, 0)
        try:
            for step, value, _ in reader.by_step(text, count):
                count += 1
                if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(step, str):
                    continue
                self._now = None
                self._add(name, step, _float(value))
                if reader.pattern.step is not None and math.isfinite(step):
                    self._step = float(step) if self._step is None else max(self._step, float(step))
        except TooSlowError:
            self._slow.add(name)
        if reader.pattern.step is None and count != self._counts.get(name, 0):
            self._counts[name] = count

    def _add(self, name: str, step: float, value: float) -> None:
        curve = self._curves.get(name)
        if curve is None:
            if len(self._curves) >= METRICS:
                return
            curve = self._curves[name] = CurvePoints()
        self.last[name] = value
        curve.add(step, value)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
