"""What the task that ended last has printed, and where in it the numbers stand that can become metrics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tui_lab.experiment.model import Experiment
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import stream_names, task_files, task_path
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import blocks_backwards
from tui_lab.results.offers.places import Place, places
from tui_lab.store.lab import Lab
from tui_lab.tui.panes.experiment.offers import Offered, Subject, offers_of, subject
from tui_lab.tui.panes.experiment.trial import Outputs

MOST: Final = 200
"""Lines that are shown: the last ones."""
LONGEST: Final = 1000
"""Characters of a line that are shown."""
_BLOCK: Final = 1 << 18
_STREAMS: Final = ("stdout", "stderr")


@dataclass(frozen=True)
class Printed:
    """The end of what one task printed, and the offers for it."""

    about: Subject | None = None
    """What was looked at."""
    task: Task | None = None
    lines: tuple[str, ...] = ()
    """Of stdout, and behind them those of stderr."""
    errors: int = 0
    """How many of them are of stderr."""
    offered: Offered = field(default_factory=Offered)
    places: tuple[tuple[Place, ...], ...] = ()
    """Of each offer, from top to bottom."""


def printed(lab: Lab | None, path: Path, text: str, outputs: Outputs, before: Printed) -> Printed:
    """Return what the last task of a file printed; `before` where nothing has changed. For a thread worker."""
    about = subject(lab, path, text, outputs)
    if isinstance(about, str):
        return before if before.task is not None else Printed(offered=Offered(message=about))
    if about == before.about:
        return before
    if not about.tasks:
        return Printed(about)
    offered = offers_of(about)
    task = about.tasks[0]
    found = {source: _end(about.folder, about.experiment, task, source) for source in _STREAMS}
    errors = found["stderr"][-(MOST // 2) :]
    lines = found["stdout"][-(MOST - len(errors)) :]
    shown = Printed(about, task, tuple(line[:LONGEST] for line in (*lines, *errors)), len(errors), offered)
    streams = {"stdout": range(len(lines)), "stderr": range(len(lines), len(shown.lines))}
    return replace(shown, places=tuple(tuple(places(one, shown.lines, streams)) for one in offered.offers))


def _end(folder: Path, experiment: Experiment, task: Task, source: str) -> list[str]:
    """The last lines of an output, of all steps; none where it can't be read."""
    lines: list[str] = []
    with suppress(OSError, SourceError):
        names = stream_names(source, tuple(step.name for step in experiment.steps))
        for file in reversed(task_files(task_path(folder, task[0]), source, names, task[1])):
            with suppress(OSError, SourceError):
                for block in blocks_backwards(file, block=_BLOCK):
                    lines = block.lines[-MOST:] + lines
                    if len(lines) >= MOST:
                        return lines[-MOST:]
    return lines
