"""What the functions of metrics have found, kept beside the tables: each is called once for a task's attempt, and again
when its file has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import polars as pl

from tui_lab.experiment.data_types import Row
from tui_lab.experiment.function import Function
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.source import Source
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.function_worker import TIMEOUT
from tui_lab.results.extraction.interruptible import ending
from tui_lab.results.extraction.kept_answers import Answer, KeptAnswers
from tui_lab.store.task_files import NoFolderError, task_folder

LARGEST: Final = 16 << 20
"""Bytes of an answer."""
STRIKES: Final = 3
"""After so many calls in a row that took too long, the function is not called for other tasks."""
_LOOK: Final = 0.1
"""Seconds between two looks whether it has to end."""


class FunctionCalls:
    """The calls of one function, as its file is now, for the tasks of an experiment. An answer has `values` by name,
    `steps`, or `rows`; `single` for a value without a name; `error` says why there is none.

    project: the folder of the experiment's file. outputs: of its tasks, or of the runs of a stage; no two of all of
    them have the same number. limit: seconds that a call may take."""

    def __init__(self, function: Function, project: Path, outputs: OutputFolders, limit: float = TIMEOUT) -> None:
        self.limit = limit
        self.function = function
        self.project = project
        self.outputs = outputs
        self._kept = KeptAnswers(outputs.experiment, "results.function", function.text, fingerprint(function, project))

    def forget(self) -> None:
        """Forget all calls."""
        self._kept.forget()

    def known(self) -> dict[Task, Answer]:
        """Return the answers so far, but for calls that may take longer now."""
        return {
            task: answer
            for task, answer in self._kept.known().items()
            if not (answer.get("too_slow") and self.limit > answer.get("limit", TIMEOUT))
        }

    def answers(self, tasks: Sequence[Task], parameters: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Return an answer for each task; those that are not known are asked for. parameters: of each task."""
        known = self.known()
        missing = [place for place, task in enumerate(tasks) if task not in known]
        if missing:
            wanted = [(tasks[place], parameters[place]) for place in missing]
            with self._kept.keeping() as keep:
                for (task, _), answer in zip(wanted, self._ask(wanted), strict=True):
                    known[task] = answer
                    if not answer.get("given_up"):
                        keep(task, answer)
        return [known[task] for task in tasks]

    def _ask(self, wanted: Sequence[tuple[Task, Mapping[str, Any]]]) -> Iterator[Answer]:
        stop = threading.Event()
        strikes = [0]  # calls in a row that took too long
        workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        count = min(os.cpu_count() or 1, len(wanted))
        started = [_Worker(self.function, self.project, stop, self.limit) for _ in range(count)]
        for worker in started:
            workers.put(worker)

        def one(task: Task, parameters: Mapping[str, Any]) -> Answer:
            output = self.outputs.path(task[0])
            try:
                task_folder(Path(output)).close()
            except NoFolderError as error:
                return {"error": f"its folder {error.strerror}"}
            except OSError as error:
                return {"error": str(error)}
            variables = {"TUI_LAB_PARAMS": json.dumps(parameters), "TUI_LAB_OUTPUT": output}
            variables |= {"TUI_LAB_ATTEMPT": str(task[1])}
            stage = self.outputs.stage
            variables |= {"TUI_LAB_TASK_ID": str(task[0])} if stage is None else {"TUI_LAB_STAGE": stage}
            if strikes[0] >= STRIKES:
                why = f"it took too long for {STRIKES} tasks, and is not called for others"
                return {"error": why, "given_up": True}
            worker = workers.get()
            try:
                answer = worker.ask({"folder": output, "variables": variables})
            finally:
                workers.put(worker)
            strikes[0] = strikes[0] + 1 if answer.get("too_slow") else 0
            return answer

        try:
            with ThreadPoolExecutor(count) as pool, ending(pool, stop):
                yield from pool.map(lambda pair: one(*pair), wanted)
        finally:
            for worker in started:
                worker.end()


def limit_of(experiment: Experiment, function: Function) -> float:
    """Return how many seconds a call of a function may take: the most of those that metrics and rows give it."""
    sources: list[Source] = [metric.source for metric in experiment.metrics.values()]
    sources += [experiment.rows.source] if experiment.rows is not None else []
    calls = [source.call for source in sources if source.call is not None]
    return max((limit or TIMEOUT for called, limit in calls if called == function), default=TIMEOUT)


def parameter_rows(experiment: Experiment, parameters: pl.DataFrame) -> list[Row]:
    """Return the parameters of each task."""
    known = [name for name in parameters.columns if name in experiment.parameter_names]
    return parameters.select(known).to_dicts() if known else [{}] * parameters.height


def fingerprint(function: Function, project: Path) -> str:
    """Return what changes with the file that a function is in. Files that it imports don't count."""
    source = function.source(project)
    try:
        return hashlib.sha256(source.read_bytes() if source is not None else b"").hexdigest()[:16]
    except OSError:
        return "0"


class _Worker:
    """A process that calls a function; another takes its place where it has ended."""

    def __init__(self, function: Function, project: Path, stop: threading.Event, limit: float) -> None:
        self._words = [str(project), function.file or "", function.module or "", function.name or ""]
        self._stop = stop
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Mapping[str, Any]) -> Answer:
        """Return the answer to a request."""
        try:
            process = self._process = self._process or self._start()
            assert process.stdin is not None
            process.stdin.write(json.dumps({**request, "limit": self._limit}).encode() + b"\n")
            process.stdin.flush()
            line = b"".join(self._read(process))
        except TimeoutError as error:
            self.end()
            return {"error": str(error), "too_slow": True, "limit": self._limit}
        except OverflowError as error:
            self.end()
            return {"error": str(error)}
        except BrokenPipeError:
            line = b""
        except OSError as error:
            self.end()
            return {"error": f"no process could be started for it: {error.strerror}"}
        if not line.endswith(b"\n"):
            self.end()
            code = process.returncode
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
            return {"error": f"its process {how}"}
        answer: Answer = json.loads(line)
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "tui_lab.results.extraction.function_worker", *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for this process, which ends it
        )

    def _read(self, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
        """Yield a line in pieces; the last has no end where the process has ended. Raises TimeoutError,
        OverflowError."""
        assert process.stdout is not None
        look = select.poll()
        look.register(process.stdout, select.POLLIN)
        deadline, size = time.monotonic() + self._limit, 0
        while True:
            ready = look.poll(_LOOK * 1000)
            if self._stop.is_set() or time.monotonic() > deadline:
                raise TimeoutError(f"the function took longer than {self._limit:g} s")
            if not ready:
                continue
            data = os.read(process.stdout.fileno(), 1 << 16)
            size += len(data)
            if size > LARGEST:
                raise OverflowError(f"the function returned more than {LARGEST >> 20} MiB")
            yield data
            if not data or data.endswith(b"\n"):
                return

    def end(self) -> None:
        """End the process, with all that it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        for file in (process.stdin, process.stdout):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
