"""Files of tasks that are on another machine: in a lab there, or on the node where the task ran."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tui_lab.client.attempts import attempts
from tui_lab.engine.client import EngineClient
from tui_lab.protocol.control import FetchFiles
from tui_lab.store import layout, mirrors
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab
from tui_lab.store.task_files import listed


@dataclass(frozen=True)
class FileElsewhere:
    """A file of a task that is not here. name: in the task's folder. attempt: of the task, where a node has it."""

    name: str
    size: int
    host: str
    mtime: int = 0
    attempt: int = 0


def left_on_nodes(folder: Path, endings: tuple[str, ...]) -> list[FileElsewhere]:
    """Return what the task of a folder has left on its nodes: the newest of each name. Reads the journal. Raises
    LabError."""
    if mirrors.in_mirror(folder) or folder.parents[1].name != layout.TASKS:
        return []  # what has been fetched there is not known here; runs of stages have no attempts of their own
    files = [
        FileElsewhere(one.name, one.size, one.node, attempt=one.attempt)
        for attempt in attempts(ExperimentFolder(folder.parents[2]), int(folder.name))
        for one in attempt.left
        if not one.home and one.name.lower().endswith(endings)
    ]
    return list({one.name: one for one in files}.values())


def arrived(folder: Path, files: Mapping[str, int]) -> int:
    """Return the bytes that a task's folder has of some files, also of parts of them. files: sizes by names."""
    from tui_lab.engine.transfer.partial import is_part_of

    here = [(name, facts.st_size) for name, facts in listed(folder, deep=True)]
    return sum(
        min(whole, max((count for one, count in here if one == name or is_part_of(one, name)), default=0))
        for name, whole in files.items()
    )


def bring(folder: Path, file: FileElsewhere, environment: Mapping[str, str], progress: Callable[[int], None]) -> None:
    """Bring a file into the folder of its task. environment: for SSH. progress: hears several times a second how many
    bytes have come; what it raises ends the transfer, and what a node has sent is not sent again. Blocks. Raises
    LabError."""
    lab, experiment, task = folder.parents[3], folder.parents[2].name, int(folder.name)
    side = mirrors.other_side(lab)
    if side is not None:
        side.fetch_file(experiment, task, file.name, file.mtime, progress)
        return
    client = EngineClient.start(Lab.open(lab))
    try:
        client.request(
            FetchFiles(experiment, task, dict(environment), file.attempt, [glob.escape(file.name)]),
            watch=lambda: progress(arrived(folder, {file.name: file.size})),
        )
    finally:
        client.close()
