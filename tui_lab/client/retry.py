"""Checks before tasks run again, and the changes of a retry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tui_lab.client.errors import UsageError

if TYPE_CHECKING:
    from tui_lab.experiment.needs import Resolved
    from tui_lab.store.events import Changes
    from tui_lab.store.experiment import ExperimentFolder


def read_changes(words: list[str]) -> Changes:
    """Return what `name=value` words change for this retry: `timeout` in seconds, `needs` by name; None and 0 for none.
    Raises UsageError."""
    from tui_lab.experiment.needs import NeedError, amount
    from tui_lab.experiment.units import MEMORY_HINT, TIME_HINT, duration

    changes: Changes = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise UsageError(f"{word}: a change is NAME=VALUE, as in timeout=2h or needs.memory=16G")
        if name == "timeout":
            try:
                changes["timeout"] = None if value == "none" else duration(value)
            except ValueError:
                raise UsageError(f"{word}: {TIME_HINT}, or none") from None
        else:
            need = name.removeprefix("needs.")
            try:
                found = 0 if value == "none" else amount(need, value)
            except NeedError as error:
                raise UsageError(f"{word}: {error}" + (f"; {MEMORY_HINT}" if need == "memory" else "")) from None
            changes.setdefault("needs", {})[need] = found
    return changes


def check_needs(folder: ExperimentFolder, needs: Mapping[str, Resolved]) -> None:
    """Raises UsageError for a need that an experiment does not have, or that no limit allows."""
    from tui_lab.experiment.needs import OF_A_NODE, too_many
    from tui_lab.experiment.yaml.problem import suggest

    if not needs:
        return
    limits = folder.spec().limits
    known = (*OF_A_NODE, *limits, *folder.spec().needs.resources)
    for name, count in needs.items():
        if name not in known:
            listed = f"it is one of {', '.join(known)}"
            raise UsageError(f'{folder.name} has no need "{name}"; {suggest(name, known) or listed}')
        if name in limits and count > limits[name]:
            raise UsageError(f"{folder.name}: {too_many(name, count, limits[name])}")


def check_code(folder: ExperimentFolder) -> None:
    """Raises LabError where tasks have changed the program of the newest submission."""
    from tui_lab.store import code_snapshot, mirrors

    side = mirrors.other_side(folder.path.parent)
    if side is not None:
        side.verify(folder.name)
        return
    submissions = folder.state().submissions
    if submissions and submissions[-1].code is not None:
        code_snapshot.verify(folder.path, submissions[-1].code)
