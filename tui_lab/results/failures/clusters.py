"""Failures in kinds: those with the same reason, whose lines differ in numbers, times and names alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tui_lab.results.failures.messages import masked, telling_line
from tui_lab.store import fold, journal
from tui_lab.store.events import Finished
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State

ALIKE: Final = 0.8
"""The share of words that two lines of one kind have in common."""
REPRESENTATIVES: Final = 50
"""Kinds with which further ones are compared."""
DISTINCT: Final = 50
"""Lines of a kind that are kept."""
_FAILED: Final = re.compile(b"[%c%c]" % (fold.FAILED, fold.LOST))
_WORD: Final = re.compile(r"\w+|#")


@dataclass(frozen=True)
class Failure:
    """A task, or a run of a stage, that failed or was lost. `exception`: its type, where a function raised it. `stage`
    is empty for a task."""

    task: int
    attempt: int
    reason: str
    line: str = ""
    stage: str = ""
    step: int = fold.NONE
    exception: str = ""
    explained: bool = False
    """Whether the journal says why, and no program could have."""
    signal: int = fold.NONE


@dataclass(frozen=True)
class Cluster:
    """Tasks that failed alike; `line` is that of the first. `lines`: what they said, each with how many said it and the
    first of them, the most frequent first; not more than DISTINCT of them, of `different` ones."""

    reason: str
    line: str
    stage: str
    step: int
    tasks: tuple[int, ...]
    lines: tuple[tuple[str, int, int], ...] = ()
    different: int = 0


def failed_tasks(state: State, stages: bool = True) -> list[Failure]:
    """Return the failed and lost tasks of the newest plan, without their lines. stages: with the runs of stages, but
    for those that were not run since one before them failed."""
    columns, found = state.columns, []
    for match in _FAILED.finditer(columns["state"]):
        task = match.start()
        planned = columns["planned"][task]
        if not planned or (planned != fold.TASK and not stages):
            continue
        stage = state.stage(task) or ""
        reason = fold.REASONS[columns["reason"][task]]
        if stage and reason == "dependency":
            continue  # the tasks behind it say so
        explained = reason in fold.EXPLAINED
        if columns["state"][task] == fold.LOST:
            reason = fold.STATES[fold.LOST]
        elif reason in ("exit", "signal"):
            reason = f"{reason} {columns['exit_code' if reason == 'exit' else 'signal'][task]}"
        signal, step = columns["signal"][task], columns["step"][task]
        raised = state.raised.get(task)
        if raised is not None:
            where = f"exception at {raised.at}" if raised.at else reason
            found.append(Failure(task, columns["attempt"][task], where, raised.line, stage, exception=raised.type))
        else:
            attempt = columns["attempt"][task]
            found.append(Failure(task, attempt, reason, "", stage, step, explained=explained, signal=signal))
    return found


class FailureReader:
    """Reads the telling line of each failed attempt of an experiment, once."""

    def __init__(self, folder: ExperimentFolder) -> None:
        self._folder = folder
        self._lines: dict[tuple[int, int], str] = {}

    def with_lines(self, failures: Iterable[Failure], going: Callable[[], bool] = lambda: True) -> list[Failure]:
        """Return failures with the lines that say why, as far as `going` lets it come. Raises LabError."""
        found: list[Failure] = []
        said: Mapping[int, str] | None = None
        for one in failures:
            if not going():
                break
            if one.exception:
                found.append(one)
                continue
            line = self._lines.get((one.task, one.attempt))
            if line is None:
                message = None
                if one.explained:
                    said = _messages(self._folder) if said is None else said
                    message = said.get(one.task)
                line = telling_line(self._folder.task_folder(one.task), one.attempt, message, one.signal)
                self._lines[one.task, one.attempt] = line
            found.append(replace(one, line=line) if line else one)
        return found


def _messages(folder: ExperimentFolder) -> dict[int, str]:
    """Return what the journal says of tasks that did not start, or that lack outputs: for each the last message."""
    events = (event for event, _ in journal.read(folder.journal, kinds=[Finished]))
    return {
        event.task: event.message or ""
        for event in events
        if isinstance(event, Finished) and event.reason in fold.EXPLAINED
    }


def clusters(failures: Sequence[Failure]) -> list[Cluster]:
    """Return the kinds of failures, the largest first; those that only follow from others are last."""
    kinds: dict[tuple[str, str, int, str, str], list[Failure]] = {}
    for one in failures:
        step = fold.NONE if one.exception else one.step
        same = one.exception or masked(one.line)
        kinds.setdefault((one.reason, one.stage, step, one.exception, same), []).append(one)
    merged: list[list[Failure]] = []
    # The largest kinds of each reason, and the words of their lines.
    known: dict[tuple[str, str, int], list[tuple[list[Failure], str, frozenset[str]]]] = {}
    for (reason, stage, step, exception, same), members in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        if exception:
            merged.append(members)
            continue
        words = _WORD.findall(same)
        first, distinct = words[0] if words else "", frozenset(words)
        beside = known.setdefault((reason, stage, step), [])
        for others, their_first, theirs in beside:
            if first == their_first and 2 * len(distinct & theirs) >= ALIKE * (len(distinct) + len(theirs)):
                others += members
                break
        else:
            merged.append(members)
            if words and len(beside) < REPRESENTATIVES:
                beside.append((members, first, distinct))
    found = []
    for members in merged:
        members.sort(key=lambda one: one.task)
        one, tasks = members[0], [member.task for member in members]
        step = fold.NONE if one.exception else one.step
        said: dict[str, list[int]] = {}
        for member in members:
            said.setdefault(member.line, []).append(member.task)
        often = sorted(said, key=lambda line: -len(said[line]))[:DISTINCT]  # the first ones first
        lines = tuple((line, len(said[line]), said[line][0]) for line in often)
        found.append(Cluster(one.reason, one.line, one.stage, step, tuple(tasks), lines, len(said)))
    return sorted(found, key=lambda kind: (kind.reason == "dependency", -len(kind.tasks)))
