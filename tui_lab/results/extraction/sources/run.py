"""Metrics that a command finds: `{run: "h5dump -d loss out.h5", pattern: ...}`.

The command runs in the task's folder when its attempt has ended, with the placeholders of a task's command,
as `sh -c`, once for all metrics that share it; their patterns are tried on what it prints. It has a minute, or what
`timeout` says, and 64 MiB; one that fails or takes more gives null. What it has started does not count longer than a
second after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import BUILT_IN, Experiment
from tui_lab.experiment.shell.command import Command, CommandError, compile_command
from tui_lab.experiment.sources.run import RunSource
from tui_lab.portable.login import without_login
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.extractor import Extraction, Running, StepValues, Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.interruptible import ending
from tui_lab.results.extraction.kept_answers import Answer, KeptAnswers
from tui_lab.results.extraction.readers import NO_MATCH, TOO_SLOW, NoValue, Tally, TextReader
from tui_lab.results.extraction.refused import refused
from tui_lab.results.extraction.slow_search import TooSlowError
from tui_lab.results.extraction.text import Text
from tui_lab.results.extraction.values import Scalar
from tui_lab.store import layout
from tui_lab.store.task_files import NoFolderError, task_folder

TIMEOUT: Final = 60.0
"""Seconds that a command may take, if nothing else is said."""
LARGEST: Final = 64 << 20
"""Bytes that it may print."""
_TAIL: Final = 1 << 16
LINGER: Final = 1.0
"""Seconds for what it has printed, once it has ended: something that it started may hold its outputs open."""
_LOOK: Final = 0.1
"""Seconds between two looks whether it has to end."""
_SOON: Final = 0.001
"""Seconds between the first two looks whether it has ended, where the system does not tell; later ones are rarer."""


class RunExtractor(Running):
    """Runs a command, and searches what it prints."""

    not_tried = "Its command runs when tables are read."

    def type(self, name: str, metric: Metric) -> ColumnType:
        return TextReader(name, metric).type

    def values(
        self,
        experiment: Experiment,
        outputs: OutputFolders,
        tasks: Sequence[Task],
        metrics: Mapping[str, Metric],
        parameters: pl.DataFrame,
    ) -> Extraction:
        extraction = Extraction()
        for name, metric in metrics.items():
            extraction.tallies[name] = Tally(tasks=len(tasks))
            extraction.types[name] = TextReader(name, metric).type
            extraction.values[name] = []
        for text, some in _by_command(metrics).items():
            try:
                for task, trouble, found in _each(experiment, outputs, text, some, tasks, parameters):
                    for name, metric in some.items():
                        _take(extraction, outputs, task, name, metric, trouble, found[name])
            except CommandError as error:
                for name in some:
                    extraction.tallies[name].trouble = f"run: {error}"
                    extraction.values[name] += [None] * len(tasks)
        return extraction

    def has_steps(self, metric: Metric) -> bool:
        return metric.take == "all"

    def steps(
        self, execution: Execution, tasks: Sequence[Task], metrics: Mapping[str, Metric]
    ) -> Mapping[int, StepValues]:
        found = {task: StepValues() for task, _ in tasks}
        known = {name: _kept(execution.outputs, name, metric).known() for name, metric in metrics.items()}
        for text, some in _by_command(metrics).items():
            missing = [task for task in tasks if any(task not in known[name] for name in some)]
            if not missing:
                continue
            parameters = execution.parameters(missing)
            with contextlib.suppress(CommandError):  # what reads the values tells it
                each = _each(execution.experiment, execution.outputs, text, some, missing, parameters)
                for task, _, values in each:
                    for name in some:
                        known[name][task] = values[name].by_step
        for name, answers in known.items():
            for task in tasks:
                answer = answers.get(task, {})
                one = found[task[0]]
                one.values += [(step, name, value, refused) for step, value, refused in answer.get("steps", ())]
                one.slow = one.slow or bool(answer.get("slow"))
        return found

    def forget(self, experiment: Experiment, folder: Path, metric: Metric) -> None:
        for name, one in experiment.metrics.items():
            if one == metric:
                _kept(OutputFolders(folder), name, metric).forget()


@dataclass(frozen=True)
class _Found:
    """What a metric has found in what a command printed. reader: counts what it has met."""

    reader: TextReader
    value: Scalar | NoValue | None = NO_MATCH
    by_step: Answer = field(default_factory=dict)
    """With `take: all`, `steps`: step, value, and the text that could not be read; `slow` if a pattern took too
    long."""


def _by_command(metrics: Mapping[str, Metric]) -> dict[str, dict[str, Metric]]:
    """Return metrics by the command that they share, which runs once for all of them."""
    shared: dict[str, dict[str, Metric]] = {}
    for name, metric in metrics.items():
        shared.setdefault(metric.source.command or "", {})[name] = metric
    return shared


def _kept(outputs: OutputFolders, name: str, metric: Metric) -> KeptAnswers:
    """Return where the values by step of a metric are kept."""
    text = json.dumps(metric.definition(), sort_keys=True)
    return KeptAnswers(outputs.experiment, "results.run", name, hashlib.sha256(text.encode()).hexdigest()[:16])


def _each(
    experiment: Experiment,
    outputs: OutputFolders,
    text: str,
    metrics: Mapping[str, Metric],
    tasks: Sequence[Task],
    parameters: pl.DataFrame,
) -> Iterator[tuple[Task, str, dict[str, _Found]]]:
    """Run a command for each task; yield what went wrong, and what its metrics have found. Raises CommandError."""
    known = [
        *experiment.parameter_names,
        *(n for n in BUILT_IN if n not in experiment.parameter_names),
        *RunSource.names,
    ]
    command = compile_command(text, known)
    stop, limit = threading.Event(), _limit(experiment, text)
    with contextlib.ExitStack() as stack:
        keep = {
            name: stack.enter_context(_kept(outputs, name, metric).keeping())
            for name, metric in metrics.items()
            if metric.take == "all" and tasks
        }
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count() or 1))
        stack.enter_context(ending(pool, stop))
        jobs = [
            pool.submit(_one, command, metrics, outputs, experiment.name, task, row, stop, limit)
            for task, row in zip(tasks, parameters.iter_rows(named=True), strict=True)
        ]
        for task, job in zip(tasks, jobs, strict=True):
            trouble, found = job.result()
            for name in keep:
                keep[name](task, found[name].by_step)
            yield task, trouble, found


def _limit(experiment: Experiment, command: str) -> float:
    """Return how many seconds a command may take: the most of those that its metrics give it."""
    sources = [metric.source for metric in experiment.metrics.values()]
    given = [one.timeout or TIMEOUT for one in sources if isinstance(one, RunSource) and one.run == command]
    return max(given, default=TIMEOUT)


def _take(
    extraction: Extraction,
    outputs: OutputFolders,
    task: Task,
    name: str,
    metric: Metric,
    trouble: str,
    its: _Found,
) -> None:
    """Take the value of a metric in what the command printed for a task. trouble: what went wrong."""
    tally, values = extraction.tallies[name], extraction.values[name]
    found, reader = its.value, its.reader
    tally.units += reader.units
    if trouble and not tally.trouble:
        tally.trouble = f"{outputs.called(task[0])}: {trouble}"
    if found is TOO_SLOW:
        tally.slow.append(task[0])
        values.append(None)
    elif isinstance(found, NoValue):
        tally.miss(task)
        values.append(0 if metric.take == "count" and not trouble else None)
    else:
        tally.found += 1
        values.append(found)
        if found is None and reader.refused and not tally.trouble:
            what = refused(reader.refused, metric, reader.type)
            tally.trouble = f"{outputs.called(task[0])}: it matched {what}"


def _one(
    command: Command,
    metrics: Mapping[str, Metric],
    outputs: OutputFolders,
    name: str,
    task: Task,
    row: Row,
    stop: threading.Event,
    limit: float,
) -> tuple[str, dict[str, _Found]]:
    """Return what went wrong with a command for one task, and what metrics have found in what it printed."""
    readers = {metric: TextReader(metric, metrics[metric]) for metric in metrics}
    try:
        text = Text(_printed(command, outputs, name, task, row, stop, limit))
    except _FailedError as error:
        return str(error), {metric: _Found(reader) for metric, reader in readers.items()}
    return "", {
        metric: _Found(reader, reader.value(text), _by_step(metric, metrics[metric], text))
        for metric, reader in readers.items()
    }


def _by_step(name: str, metric: Metric, text: Text) -> Answer:
    if metric.take != "all":
        return {}
    reader = TextReader(name, metric)
    try:
        return {"steps": list(reader.by_step(text))}
    except TooSlowError:
        return {"slow": True}


class _FailedError(Exception):
    """A command that failed; the text says why."""


def _printed(
    command: Command,
    outputs: OutputFolders,
    name: str,
    task: Task,
    row: Row,
    stop: threading.Event,
    limit: float,
) -> bytes:
    """Return what a command prints for one task. Raises _FailedError."""
    output = outputs.path(task[0])
    try:
        task_folder(Path(output)).close()
    except NoFolderError as error:
        raise _FailedError(f"its folder {error.strerror}") from None
    except OSError as error:
        raise _FailedError(str(error)) from None
    values: dict[str, Value] = {
        **dict.fromkeys(RunSource.names, output),
        "output": output,
        "params": f"{output}/{layout.PARAMS_FILE}",
        "task_id": task[0],
        "attempt": task[1],
        "experiment": name,
        "node": "",
        "slot": 0,
        **row,
    }
    try:
        script, variables = command.script(values), command.environment(values)
        process = subprocess.Popen(
            ["sh", "-c", script],
            cwd=output,
            env={**without_login(os.environ), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (CommandError, OSError) as error:
        raise _FailedError(str(error)) from None
    try:
        printed, errors = _communicate(process, stop, limit)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has started, too
        process.wait()
    if process.returncode != 0:
        last = Text(errors).lines[-1:]
        raise _FailedError(f"the command ended with {process.returncode}{': ' + last[0] if last else ''}")
    return printed


def _communicate(process: subprocess.Popen[bytes], stop: threading.Event, limit: float) -> tuple[bytes, bytes]:
    """Return what a process prints, and the end of its standard error. Raises _FailedError; then it may still run."""
    printed, errors = bytearray(), bytearray()
    deadline, ended, pause = time.monotonic() + limit, 0.0, _SOON
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr, _end_of(process.pid) as end, selectors.DefaultSelector() as files:
        files.register(process.stdout, selectors.EVENT_READ, printed)
        files.register(process.stderr, selectors.EVENT_READ, errors)
        if end is not None:
            files.register(end, selectors.EVENT_READ)
        while files.get_map() or not ended:
            now = time.monotonic()
            if ended and now > ended + LINGER:
                break
            if stop.is_set() or (now > deadline and not ended):
                raise _FailedError(f"the command took longer than {limit:g} s")
            if end is None and not ended and _is_over(process):
                ended = now
            if not files.get_map() and not ended:
                time.sleep(pause)
                pause = min(2 * pause, _LOOK)
            for key, _ in files.select(_LOOK) if files.get_map() else ():
                if key.fileobj is end:
                    ended = now
                    files.unregister(end)
                    continue
                data = os.read(key.fd, 1 << 16)
                key.data.extend(data)
                if not data:
                    files.unregister(key.fileobj)
            if len(printed) > LARGEST:
                raise _FailedError(f"the command printed more than {LARGEST >> 20} MiB")
            del errors[:-_TAIL]
    return bytes(printed), bytes(errors)


@contextlib.contextmanager
def _end_of(pid: int) -> Iterator[int | None]:
    """Return a descriptor that can be read once a child has ended; None where the system has none."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a child has ended. Its pid stays reserved where possible, so that its group can be ended."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
