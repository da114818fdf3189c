"""What a person is told without asking: a run's end, its first failure, an engine that died."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tui_lab.cli.text import shortened
from tui_lab.tui.snapshot import ExperimentSnapshot, LabSnapshot
from tui_lab.tui.words import count_words


class News(NamedTuple):
    text: str
    severity: Literal["information", "warning", "error"]


def news(before: LabSnapshot, now: LabSnapshot) -> list[News]:
    """What has happened between two snapshots of a lab."""
    if before.lab is None or now.lab is not before.lab:
        return []
    found = [News("The engine has died; nothing is lost.", "error")] if now.died and not before.died else []
    for one in now.experiments:
        past = before.experiment(one.name)
        if past is not None:
            found += _of(past, one)
    return found


def _of(past: ExperimentSnapshot, one: ExperimentSnapshot) -> list[News]:
    found = []
    if (past.active or one.active) and not past.counts.get("failed") and one.counts.get("failed"):
        found.append(News(f"{one.name}: the first failure: {shortened(one.failure, 160)}", "warning"))
    if one.note and one.note != past.note:
        found.append(News(f"{one.name}: {one.note}", "warning"))
    if one.ended is not None and one.ended != past.ended:
        counts = ", ".join(f"{count:,} {state}" for state, count in count_words(one.counts))
        bad = one.counts.get("failed", 0) + one.counts.get("lost", 0)
        found.append(News(f"{one.name} has ended: {counts}", "warning" if bad else "information"))
    return found
