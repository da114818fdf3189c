"""The removal of files of runs of stages that nothing needs any more (`retain: until-done`).

The journal says first that they are to go. They are moved aside, which takes a moment whatever their size, so that the
folder is ready for another attempt; then they are removed. Either may be done again, as often as something prevents it.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tui_lab.experiment.model import Experiment
from tui_lab.portable.beneath import Folder, NoFolderError
from tui_lab.portable.globs import matcher
from tui_lab.store import layout
from tui_lab.store.result_files import OUTPUTS, named_files

log = logging.getLogger(__name__)

_ASIDE: Final = ".removed-"  # and more, within the folder of the stages: no stage is called like this
_is_output: Final = matcher(OUTPUTS)


def move_aside(folder: Path, experiment: Experiment, run: int, stage: str) -> Path | None:
    """Move all files of a run aside, but those from which results are read. Return where they are then; None where
    there were none. folder: of the experiment."""
    named = named_files(experiment.of_stage(stage))
    place = folder / layout.STAGES / f"{_ASIDE}{run}-{uuid.uuid4().hex}"
    try:
        with Folder.base(os.fsencode(folder / layout.STAGES)) as stages, stages.folder(os.fsencode(stage)) as mine:
            with mine.folder(str(run).encode()) as top:
                found = list(_unneeded(top, named))
                if not found:
                    return None
                with stages.folder(os.fsencode(place.name), make=True) as aside:
                    for number, path in enumerate(found):
                        _move(top, path, aside, str(number).encode())
    except (FileNotFoundError, NoFolderError):
        return None  # the folder is gone, or is no folder of ours
    except OSError as error:
        log.warning("%s: files of %s %d are not removed: %s", folder, stage, run, error)
        return None
    return place


def is_unfinished(folder: Path, experiment: Experiment, runs: Iterable[tuple[int, str]]) -> bool:
    """Return whether files are still to be removed: what was moved aside, or something of these runs, each with its
    stage."""
    named = {name: named_files(experiment.of_stage(name)) for name in experiment.stages}
    return bool(left_aside(folder)) or any(
        _has_files(layout.task_folder(folder, run, stage), named.get(stage, ())) for run, stage in runs
    )


def _has_files(place: Path, named: Sequence[str]) -> bool:
    try:
        with Folder.base(os.fsencode(place)) as top:
            return any(True for _ in _unneeded(top, named))
    except OSError:
        return False


def left_aside(folder: Path) -> list[Path]:
    """Return what was moved aside, and is not removed yet."""
    return list((folder / layout.STAGES).glob(f"{_ASIDE}*"))


def remove(place: Path) -> None:
    """Remove what was moved aside. It may take long."""
    try:
        with Folder.base(os.fsencode(place.parent)) as stages:
            stages.remove(os.fsencode(place.name))
    except OSError as error:
        log.warning("%s is not removed: %s", place, error)


def _unneeded(top: Folder, named: Sequence[str], below: str = "") -> Iterator[bytes]:
    """Yield the paths of what is to be removed, whole folders where nothing in them is needed."""
    for entry in top.entries():
        name = below + os.fsdecode(entry.path)
        if any(one.startswith(f"{name}/") for one in named) and not (entry.is_file or entry.is_link):
            with top.folder(entry.path) as inner:
                yield from _unneeded(inner, named, f"{name}/")
        elif not (name in named or (not below and _is_output(name))) or not (entry.is_file or entry.is_link):
            yield os.fsencode(name)


def _move(top: Folder, path: bytes, aside: Folder, name: bytes) -> None:
    parent, last = top.parent(path)
    with parent:
        try:
            os.rename(last, name, src_dir_fd=parent.descriptor, dst_dir_fd=aside.descriptor)
        except OSError as error:
            log.warning("%s is not removed: %s", os.fsdecode(path), error)
