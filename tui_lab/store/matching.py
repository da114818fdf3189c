"""Which task of an earlier plan has the same setting as a new one whose key differs, and what differs.

Two tasks match if their repeats and the typed values of their parameters are equal. A parameter may have a
new name where its values tell which it is; a new one may stand at its default, and an old one that never
varied may be gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value
from tui_lab.store.plan import PREFIX, Plan, PlanAbout

# Parts of `Plan.about` -> the message where they differ.
_PARTS: Final = {
    "command": "command changed",
    "function": "function changed",
    "args": "args changed",
    "argument_defaults": "a default of the function changed",
    "files": "template changed",
    "inputs": "inputs changed",
    "seed": "seed changed",
    "version": "version changed",
}


@dataclass(frozen=True)
class Match:
    """New tasks and the earlier ones with the same setting."""

    pairs: pl.DataFrame  # key (of the new task), task_id and version (of the earlier one)
    differences: tuple[str, ...]  # what makes them new, for the user
    unmatched: str = ""  # why the parameters allow no match at all


def match(new: Plan, old: Plan, candidates: pl.Series) -> Match:
    """Compare tasks of two plans. new: those without a counterpart yet. candidates: ids of the tasks of `old`
    that may be matched; each is matched once."""
    table = old.tasks.filter(pl.col("task_id").is_in(candidates.implode()))
    old = Plan(old.number, table, old.values, old.about)
    mine = [name for name in new.names if name not in new.about.get("unhashed", ())]
    theirs = [name for name in old.names if name not in old.about.get("unhashed", ())]
    stages = dict.fromkeys(name for plan in (new, old) for name in plan.about.get("components", {}) if " " in name)
    parts = {**_PARTS, **{name: f"{name} changed" for name in stages}}
    differences = [text for part, text in parts.items() if _part(new.about, part) != _part(old.about, part)]
    appeared = [name for name in mine if name not in theirs]
    vanished = [name for name in theirs if name not in mine]
    renamed = _renames(new, old, appeared, vanished)
    differences += [f'"{before}" is now called "{name}"' for name, before in renamed.items()]
    keep = pl.Series(np.ones(new.tasks.height, dtype=bool))
    unmatched = ""
    for name in appeared:
        if name in renamed:
            continue
        default = new.about.get("defaults", {}).get(name)
        differences.append(f'"{name}" is new')
        keep &= _equals(new, name, default)
        if default is None and name not in new.about.get("defaults", {}):
            unmatched = f'"{name}" is new, and `defaults` does not say what it was before'
    for name in vanished:
        if name in renamed.values():
            continue
        if name in new.about.get("unhashed", ()):
            differences.append(f'"{name}" is unhashed now')
            continue
        differences.append(f'"{name}" is gone')
        if old.tasks[PREFIX + name].n_unique() > 1:
            unmatched = f'"{name}" is gone, and it had several values'
    empty = pl.DataFrame(schema={"key": pl.Binary, "task_id": pl.Int64, "version": pl.Int32})
    if unmatched or not old.tasks.height:
        return Match(empty, tuple(differences), unmatched)
    compared = {name: renamed.get(name, name) for name in mine if name in theirs or name in renamed}
    left, right = _settings(new, old, compared)
    left = left.with_columns(new.tasks["key"]).filter(keep)
    right = right.with_columns(old.tasks["task_id"], old.tasks["version"])
    on = [name for name in left.columns if name != "key"]
    right = right.unique(subset=on, keep="first", maintain_order=True)
    pairs = left.join(right, on=on, how="inner", maintain_order="left")
    pairs = pairs.unique("task_id", keep="first", maintain_order=True)
    return Match(pairs.select(empty.columns), tuple(differences))


def _part(about: PlanAbout, name: str) -> int | str | list[int | str] | None:
    if name == "version":
        return about.get("version", 1)
    return about.get("seed") if name == "seed" else about.get("components", {}).get(name)


def _texts(plan: Plan, name: str) -> list[bytes]:
    """The canonical text of each code of a coded parameter, or of each row of a plain one."""
    values: list[Value] = plan.values[name] if name in plan.values else plan.tasks[PREFIX + name].to_list()
    return [canonical(value) for value in values]


def _used(plan: Plan, name: str) -> set[bytes]:
    texts = _texts(plan, name)
    if name not in plan.values:
        return set(texts)
    return {texts[code] for code in plan.tasks[PREFIX + name].unique()}


def _equals(plan: Plan, name: str, value: Value) -> pl.Series:
    """Rows in which a parameter has a value, or none."""
    wanted = (canonical(value), canonical(None))
    equal = pl.Series([text in wanted for text in _texts(plan, name)], dtype=pl.Boolean)
    return equal.gather(plan.tasks[PREFIX + name]) if name in plan.values else equal


def _settings(new: Plan, old: Plan, compared: Mapping[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The compared parameters and the repeat of both plans, as columns of codes that mean the same in
    both."""
    sides: tuple[list[pl.Series], list[pl.Series]] = ([], [])
    for number, names in enumerate(compared.items()):
        joint: dict[bytes, int] = {}
        for plan, name, side in zip((new, old), names, sides, strict=True):
            codes = pl.Series([joint.setdefault(text, len(joint)) for text in _texts(plan, name)], dtype=pl.UInt32)
            column = codes.gather(plan.tasks[PREFIX + name]) if name in plan.values else codes
            side.append(column.alias(str(number)))
    left, right = (
        pl.DataFrame([*side, plan.tasks["repeat"].alias("repeat")])
        for side, plan in zip(sides, (new, old), strict=True)
    )
    return left, right


def _renames(new: Plan, old: Plan, appeared: list[str], vanished: list[str]) -> dict[str, str]:
    """New name -> old name, where the values of a new parameter fit exactly one that is gone, and no other
    new one."""
    if not appeared or not vanished or not old.tasks.height:
        return {}
    before = {name: _used(old, name) for name in vanished}
    fits = {}
    for name in appeared:
        values = _used(new, name)
        fits[name] = [other for other in vanished if values <= before[other] or values >= before[other]]
    chosen = [others[0] for others in fits.values() if len(others) == 1]
    return {name: others[0] for name, others in fits.items() if len(others) == 1 and chosen.count(others[0]) == 1}
