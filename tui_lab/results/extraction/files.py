"""Which files of a task a metric reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

from tui_lab.results.extraction.structured import SourceError
from tui_lab.store import layout
from tui_lab.store.task_files import TaskFile, matching

Names: TypeAlias = Callable[[int], list[str]]
"""The names of the files in a task's folder, by attempt."""

_STREAMS: Final = ("stdout", "stderr")


def stream_names(source: str, steps: tuple[str | None, ...]) -> Names | None:
    """Files of `stdout` or `stderr` (of all steps, in order), or of one step (`train.stdout`); None for
    others."""
    if source in _STREAMS:
        stream = cast(Literal["stdout", "stderr"], source)
        wanted = steps if any(steps) else (None,)
    else:
        step, _, name = source.rpartition(".")
        if name not in _STREAMS or step not in steps:
            return None
        stream, wanted = cast(Literal["stdout", "stderr"], name), (step,)
    return lambda attempt: [layout.stream_file(stream, step, attempt) for step in wanted]


def locate(folder: str, name: str) -> TaskFile:
    """A file that a task wrote; `name` may be a glob that one file matches.

    Raises FileNotFoundError where a glob matches none, SourceError where several files match.
    """
    file = TaskFile(folder, name)
    if not any(mark in name for mark in "*?[") or name.startswith("/") or file.size is not None:
        return file
    if ".." in name.split("/"):  # the owner's, as TaskFile has it
        found = sorted(str(path.relative_to(folder)) for path in Path(folder).glob(name) if path.is_file())
    else:
        found = matching(folder, name)
    if len(found) > 1:
        raise SourceError(f"{len(found)} files match {name}: {', '.join(found[:3])}")
    if not found:
        raise FileNotFoundError(str(file))
    return TaskFile(folder, found[0])


def task_files(folder: str, source: str, names: Names | None, attempt: int) -> list[TaskFile]:
    """The files of a stream, as `stream_names` has them, or of another source. Raises what `locate` does."""
    return [locate(folder, source)] if names is None else [TaskFile(folder, name) for name in names(attempt)]


@dataclass(frozen=True)
class OutputFolders:
    """Where the outputs of the tasks of an experiment are, or those of the runs of a stage."""

    experiment: Path
    stage: str | None = None  # None: of tasks

    def path(self, number: int) -> str:
        """Return the folder of a task, or of a run, as text."""
        if self.stage is None:
            return task_path(self.experiment, number)
        return f"{self.experiment}/{layout.relative_folder(number, self.stage)}"

    def called(self, number: int) -> str:
        """Return what messages call a task, or a run."""
        return f"task {number}" if self.stage is None else f"run {number} of {self.stage}"


def task_path(experiment: Path, task_id: int) -> str:
    """The folder of a task as text: to build a Path takes longer than to read a small output."""
    return f"{experiment}/{layout.TASKS}/{task_id // layout.TASKS_PER_FOLDER}/{task_id}"
