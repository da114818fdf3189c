"""What functions returned: the file that each task leaves, and the names that are in those of an experiment.

The experiment's file need not say what its function returns. So the names are collected from the tasks, each of which
is read once for that, and kept beside the caches, in a file that `ExperimentFolder.spec` reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import polars as pl

from tui_lab.experiment.domains.model import Value
from tui_lab.portable.function.returned import FILE
from tui_lab.results import cache
from tui_lab.results.extraction.files import task_path
from tui_lab.results.extraction.structured import SourceError, loads
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.returned_names import ReturnedNames
from tui_lab.store.task_files import TaskFile

_KEPT: Final = 4096  # files in memory: several metrics are read from each


@dataclass(frozen=True)
class ReturnedValues:
    """What a function returned."""

    metrics: Mapping[str, Value] = field(default_factory=dict)
    rows: Mapping[str, Sequence[Mapping[str, Value]]] = field(default_factory=dict)
    not_kept: Mapping[str, str] = field(default_factory=dict)


def read_returned(folder: str) -> ReturnedValues:
    """Return what the function of a task returned. Raises OSError, SourceError."""
    with open(TaskFile(folder, FILE).open(), "rb") as file:
        facts = os.fstat(file.fileno())
        known = _parsed(folder, (facts.st_mtime_ns, facts.st_size, facts.st_ino))
        if not known:
            known.append(_values(file.read()))
        return known[0]


@lru_cache(maxsize=_KEPT)
def _parsed(folder: str, stamp: tuple[int, int, int]) -> list[ReturnedValues]:
    """The values of a file, once its first reader has put them there."""
    return []


def _values(text: bytes) -> ReturnedValues:
    try:
        document: Any = loads(text)
    except ValueError as error:
        raise SourceError(f"broken JSON: {error}") from None
    parts = document if isinstance(document, dict) else {}
    metrics, rows, not_kept = (_mapping(parts.get(name)) for name in ("metrics", "rows", "not_kept"))
    lists = {name: [row for row in found if isinstance(row, dict)] for name, found in rows.items() if found}
    return ReturnedValues(metrics, lists, {name: str(what) for name, what in not_kept.items()})


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def collect_names(folder: ExperimentFolder, done: pl.DataFrame, force: bool, may_write: bool) -> ReturnedNames:
    """Return the names that functions returned in done attempts (`task_id`, `attempt`), and keep them."""
    known = ReturnedNames() if force else ReturnedNames.read(folder.path)
    before = cache.pairs(known.covered)
    if before.join(done, on=["task_id", "attempt"], how="anti").height:
        known, before = ReturnedNames(), before.clear()  # results were removed
    new = done.join(before, on=["task_id", "attempt"], how="anti")
    metrics, rows = dict.fromkeys(known.metrics), dict.fromkeys(known.rows)
    not_kept = dict(known.not_kept)
    missing = []
    for task, _ in new.select("task_id", "attempt").iter_rows():
        try:
            found = read_returned(task_path(folder.path, task))
        except (OSError, SourceError):
            missing.append(task)  # it may come yet, from a node
            continue
        metrics |= dict.fromkeys(found.metrics)
        rows |= dict.fromkeys(found.rows)
        for name, what in found.not_kept.items():
            not_kept.setdefault(name, (task, what))
    if len(missing) == new.height and not force:
        return known
    covered = cache.covered(done.filter(~pl.col("task_id").is_in(missing)))
    names = ReturnedNames(covered, list(metrics), list(rows), not_kept)
    if may_write:
        names.write(folder.path)
    return names
