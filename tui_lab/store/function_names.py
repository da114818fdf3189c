"""`results.functions.json` of an experiment: the names of the values that functions of its metrics have found, where
its file does not name them. Made by the reader of results, and no more than a cache."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from tui_lab.experiment.model import Experiment

FILE: Final = "results.functions.json"
MOST: Final = 1000  # names of one function


@dataclass(frozen=True)
class NamesOfFunction:
    """The names that a function has found, in the order in which they were first seen. `covered`: the attempts that it
    was called for. `fingerprint`: of its file then."""

    fingerprint: str = ""
    covered: dict[str, list[list[int]]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FunctionNames:
    """The names by the metric that stands for them."""

    found: dict[str, NamesOfFunction] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> FunctionNames:
        """Return the names of an experiment's folder; none where there is no such file."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return cls()

    def write(self, folder: Path) -> None:
        """Keep the names. Where that is not possible (a full disk), they are found again."""
        partial = folder / f".{FILE}.partial"
        try:
            partial.write_bytes(msgspec.json.encode(self))
            partial.replace(folder / FILE)
        except OSError:
            partial.unlink(missing_ok=True)

    def added_to(self, experiment: Experiment) -> Experiment:
        """Return an experiment with a metric for each name, in place of the one that stands for all of them; metrics
        that its file names stay as they are."""
        if not any(metric.source.several for metric in experiment.metrics.values()):
            return experiment
        metrics = {}
        taken = {name.lower() for name, metric in experiment.metrics.items() if not metric.source.several}
        for stands_for, metric in experiment.metrics.items():
            if not metric.source.several:
                metrics[stands_for] = metric
                continue
            for name in self.found.get(stands_for, NamesOfFunction()).names:
                if name.lower() not in taken:
                    taken.add(name.lower())
                    metrics[name] = replace(metric, source=metric.source.single(name))
        return replace(experiment, metrics=metrics)
