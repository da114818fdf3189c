"""What a run of a stage leaves for later ones: the files that it declares, and the value of its function."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tui_lab.experiment.model import Experiment
from tui_lab.portable.beneath import Folder
from tui_lab.portable.function.values import kept_file
from tui_lab.portable.globs import matcher


def are_there(experiment: Experiment) -> Callable[[Path], bool]:
    """Return what says of the folder of a run that is done whether its outputs are there. experiment: as its stage
    has it."""
    takes_value = experiment.function is not None and experiment.value_is_taken
    declared = [matcher([glob]) for glob in experiment.outs]

    def found(folder: Path) -> bool:
        if takes_value and kept_file(str(folder)) is None:
            return False
        if not declared:
            return folder.is_dir()
        try:
            with Folder.base(os.fsencode(folder)) as top:
                names = [os.fsdecode(entry.path) for entry in top.walk()]
        except OSError:
            return False
        return all(any(map(matches, names)) for matches in declared)

    return found
