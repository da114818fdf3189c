"""Checks the text in the editor: its mistakes, and what a run of it would do. Functions for thread workers; they never
touch a widget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import printable
from tui_lab.client.plan_preview import EXAMPLES, commands, expected
from tui_lab.client.submission import Choice, OtherFileError, Prepared, prepare
from tui_lab.experiment.axes import ValueTable, ZipError, sweep
from tui_lab.experiment.load import load
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.overrides import plan as plan_sweeps
from tui_lab.experiment.widening import Widening, widenings
from tui_lab.experiment.yaml.problem import Problem, SpecError
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.widgets.editor import Mark

AT_ONCE: Final = 300_000
"""Combinations that are gone through as one types; more of them wait until they are asked for."""
_NOTICE: Final = re.compile(r".*?:(\d+):(\d+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Checked:
    """A text that was read. If there is no experiment, there are problems."""

    text: str
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
    experiment: Experiment | None = None
    widenings: tuple[Widening, ...] = ()

    @property
    def marks(self) -> list[Mark]:
        """The mistakes and notices, as marks of the editor."""
        return [*map(mark_of, self.problems), *notice_marks(self.notices)]


@dataclass(frozen=True)
class Forecast:
    """What a run would do."""

    prepared: Prepared
    combinations: int
    commands: tuple[str, ...]
    """The first that would run."""
    seconds: float | None
    """That it takes, going by the tasks that are done."""
    slots: int
    replaces: str = ""
    """That the experiment came from another file, whose place this one takes."""


@dataclass(frozen=True)
class Planned:
    """A forecast, or why there is none."""

    text: str
    forecast: Forecast | None = None
    problems: tuple[Problem, ...] = ()
    trouble: str = ""
    """What is wrong with the lab, or with what is asked."""
    waiting: int = 0
    """Combinations that are too many to be gone through unasked."""


def check(path: Path, text: str) -> Checked:
    """Read the text as the file that it will be."""
    try:
        experiment = load(path, text)
    except SpecError as error:
        return Checked(text, error.problems)
    return Checked(text, (), experiment.notices, experiment, widenings(text, path.name))


def plan(lab: Lab | None, checked: Checked, path: Path, slots: int, asked: bool) -> Planned:
    """Plan a text without mistakes. `asked`: the user waits for it, however large it is."""
    text = checked.text
    if checked.experiment is not None and not asked:
        count = size(checked.experiment)
        if count > AT_ONCE:
            return Planned(text, waiting=count)
    try:
        try:
            prepared, replaces = prepare(lab, path, Choice(), text), ""
        except OtherFileError as error:
            prepared, replaces = prepare(lab, path, Choice(replace=True), text), error.message
        return Planned(text, forecast(prepared, slots, replaces))
    except SpecError as error:
        return Planned(text, problems=error.problems)
    except (LabError, UsageError) as error:
        return Planned(text, trouble=str(error))


def forecast_of(lab: Lab | None, path: Path, text: str, slots: int, replaces: str, choice: Choice) -> Forecast:
    """Return what a run with these choices would do. Raises SpecError, LabError, UsageError."""
    return forecast(prepare(lab, path, choice, text), slots, replaces)


def forecast(prepared: Prepared, slots: int, replaces: str = "") -> Forecast:
    """Return what a launch would do. slots: of all nodes together. replaces: what it takes the place of."""
    tasks = prepared.plan.tasks
    shown = tuple(map(mirrors.as_there, commands(prepared, EXAMPLES)))
    return Forecast(prepared, tasks["combination"].n_unique(), shown, expected(prepared, slots), slots, replaces)


def size(experiment: Experiment) -> int:
    """Return the combinations before `where`; 0 where they can't be counted quickly."""
    if experiment.sample is not None:
        return experiment.sample.n
    sweeping = plan_sweeps(experiment, {})
    table = ValueTable()
    try:
        sweeps = [sweep(m, sweeping.defaults, sweeping.groups, sweeping.names, table) for m in sweeping.mappings]
    except (ZipError, ValueError):
        return 0  # planning says what is wrong
    return sum(one.size or 0 for one in sweeps)


def mark_of(problem: Problem) -> Mark:
    """Return the mark in the editor for a problem."""
    words = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    return Mark(max(problem.line - 1, 0), max(problem.column - 1, 0), printable(words), fix=problem.fix)


def notice_marks(notices: Sequence[str]) -> list[Mark]:
    """Return the notices that name a place: `FILE:LINE:COLUMN: words`."""
    found = [match for notice in notices if (match := _NOTICE.match(notice))]
    return [Mark(int(match[1]) - 1, int(match[2]) - 1, printable(match[3]), "notice") for match in found]


def in_text(notice: str) -> str:
    """Return a notice without the name of the file, which is shown already: `line 5: ...`."""
    match = _NOTICE.match(notice)
    return notice if match is None else f"line {match[1]}: {match[3]}"
