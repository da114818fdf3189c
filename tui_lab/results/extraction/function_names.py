"""Finds the names of what functions find, where the experiment's file names the function alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl

from tui_lab.experiment.model import Experiment
from tui_lab.experiment.names import name_error
from tui_lab.results import cache
from tui_lab.results.extraction.extractor import Running, Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.sources.kinds import extractor_of
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.function_names import MOST, FunctionNames, NamesOfFunction


def find_names(
    folder: ExperimentFolder,
    spec: Experiment,
    ended: pl.DataFrame,
    placeholders: Callable[[Sequence[Task]], pl.DataFrame],
    *,
    trusted: bool,
    force: bool,
    may_write: bool,
) -> tuple[FunctionNames, list[str]]:
    """Return the names in the attempts in `ended` (`task_id`, `attempt`), and keep them; with them the functions that
    were not called, because the lab is not trusted. placeholders: the values of parameters of tasks."""
    before = FunctionNames.read(folder.path)
    found = dict(before.found)
    not_called = []
    for name, metric in spec.metrics.items():
        extractor = extractor_of(metric)
        if not metric.source.several or not isinstance(extractor, Running):
            continue
        known = found.get(name, NamesOfFunction())
        print_ = extractor.fingerprint(spec, metric)
        if trusted and (force or known.fingerprint != print_):
            known = replace(known, covered={})
        new = ended.join(cache.pairs(known.covered), on=["task_id", "attempt"], how="anti")
        if not new.height:
            continue
        if not trusted:
            not_called.append(name)
            continue
        tasks: list[Task] = new.select("task_id", "attempt").rows()
        names = dict.fromkeys(known.names if known.covered else ())
        names |= dict.fromkeys(extractor.names(spec, OutputFolders(folder.path), tasks, metric, placeholders(tasks)))
        fitting = [one for one in names if name_error(one) is None][:MOST]
        found[name] = NamesOfFunction(print_, cache.covered(ended), fitting)
    names_now = FunctionNames(found)
    if may_write and names_now != before:
        names_now.write(folder.path)
    return names_now, not_called
