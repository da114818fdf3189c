"""Metrics that a command finds: `{run: "h5dump -d loss out.h5", pattern: ...}`.

The command runs in the task's folder when its attempt has ended, with the placeholders of a task's command,
as `sh -c`; the pattern is tried on what it prints. It has a minute; one that fails or takes longer gives
null.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import polars as pl

from tui_lab.portable.login import without_login
from tui_lab.results.extract import Extraction, Task
from tui_lab.results.readers import TOO_SLOW, Nothing, Tally, TextReader
from tui_lab.results.sources import task_path
from tui_lab.results.text import Text
from tui_lab.results.values import Scalar
from tui_lab.spec.command import Command, CommandError, compile_command
from tui_lab.spec.metric import Metric
from tui_lab.spec.model import BUILT_IN, Experiment, Value
from tui_lab.store import layout
from tui_lab.store.task_files import NoFolderError, task_folder

TIMEOUT: Final = 60.0
"""Seconds that a command may take."""


def run_metrics(
    experiment: Experiment,
    folder: Path,
    tasks: Sequence[Task],
    metrics: Mapping[str, Metric],
    parameters: pl.DataFrame,
) -> Extraction:
    """The values of those `metrics` that have a `run`. `parameters` has a row for each of `tasks`: the
    columns of parameters under their own names, `repeat` and `seed`."""
    extraction = Extraction()
    known = [*experiment.parameter_names, *(n for n in BUILT_IN if n not in experiment.parameter_names)]
    for name, metric in metrics.items():
        if metric.run is None:
            continue
        reader = TextReader(name, metric)
        tally = extraction.tallies[name] = Tally(tasks=len(tasks))
        extraction.types[name] = reader.type
        values = extraction.values[name] = []
        try:
            command = compile_command(metric.run, known)
        except CommandError as error:
            tally.trouble = f"run: {error}"
            values += [None] * len(tasks)
            continue
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            rows = parameters.iter_rows(named=True)
            jobs = [
                pool.submit(_one, command, reader, folder, experiment.name, task, row)
                for task, row in zip(tasks, rows, strict=True)
            ]
            for task, job in zip(tasks, jobs, strict=True):
                found, trouble = job.result()
                if trouble and not tally.trouble:
                    tally.trouble = f"task {task[0]}: {trouble}"
                if found is TOO_SLOW:
                    tally.slow.append(task[0])
                    values.append(None)
                elif isinstance(found, Nothing):
                    tally.miss(task)
                    values.append(0 if metric.take == "count" and not trouble else None)
                else:
                    tally.found += 1
                    values.append(found)
        tally.units = reader.units
    return extraction


def _one(
    command: Command, reader: TextReader, folder: Path, name: str, task: Task, row: dict[str, Any]
) -> tuple[Scalar | Nothing | None, str]:
    """What a command printed for one task, and what went wrong."""
    output = task_path(folder, task[0])
    try:
        task_folder(Path(output)).close()
    except NoFolderError as error:
        return Nothing(), f"its folder {error.strerror}"
    except OSError as error:
        return Nothing(), str(error)
    values: dict[str, Value] = {
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
        return Nothing(), str(error)
    try:
        printed, errors = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Nothing(), f"the command took longer than {TIMEOUT:.0f} s"
    found = reader.value(Text(printed))
    if process.returncode != 0:
        last = Text(errors).lines[-1:]
        return Nothing(), f"the command ended with {process.returncode}{': ' + last[0] if last else ''}"
    return found, ""
