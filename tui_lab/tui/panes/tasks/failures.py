"""Why tasks of the Tasks pane failed, in kinds, and the file without what such failures share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_lab.experiment.additions import add_condition
from tui_lab.results.failures.shared import Shared
from tui_lab.store.errors import LabError
from tui_lab.tui.tasks.frame import TaskSource


def excluding(source: TaskSource, found: Sequence[Shared]) -> tuple[Path, str, str]:
    """Return the file of an experiment, and its text with a condition in `where` that leaves out what failures share;
    that condition, too. Blocks. Raises LabError where only other things than parameters decide it; SpecError, OSError.
    """
    with source.reading() as folder:
        names = {column: name for name, column in folder.parameter_columns().items()}
        path = folder.file()
    for column, name in list(names.items()):
        names[f"in_{column}"] = name  # what it is called beside a metric of its name
    own = next((one for one in found if all(part.column in names for part in one.conditions)), None)
    if own is None:
        raise LabError(f"no parameter decides this: {found[0].words}")
    condition = f"not ({own.renamed(names).sql})"
    text = path.read_text(encoding="utf-8-sig")
    return path, add_condition(text, str(path), condition).applied(text), condition
