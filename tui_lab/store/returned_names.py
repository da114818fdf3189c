"""`results.returned.json` of an experiment: the names of what its function returned, as far as its tasks were read.

Made by the reader of results, and no more than a cache: without it, the names are collected again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from tui_lab.experiment.metric import Metric, Rows
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.row_sources.kinds import KINDS as ROW_SOURCES
from tui_lab.experiment.sources.kinds import KINDS as SOURCES
from tui_lab.experiment.sources.kinds import RETURNED

FILE: Final = "results.returned.json"


@dataclass(frozen=True)
class ReturnedNames:
    """Names of metrics and lists of rows, in the order in which they were first seen. `covered`: the attempts that were
    read. `not_kept`: what can't be kept, in which task it was first, and what it is."""

    covered: dict[str, list[list[int]]] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    not_kept: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> ReturnedNames:
        """Return the names of an experiment's folder; none where there is no such file."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return cls()

    def write(self, folder: Path) -> None:
        """Keep the names. Where that is not possible (a full disk), they are collected again."""
        partial = folder / f".{FILE}.partial"
        try:
            partial.write_bytes(msgspec.json.encode(self))
            partial.replace(folder / FILE)
        except OSError:
            partial.unlink(missing_ok=True)

    def hidden_in(self, experiment: Experiment) -> dict[str, str]:
        """Return names that have no column in an experiment to which these are added: each with the metric from whose
        name it differs in case only."""
        named = {getattr(metric.source, RETURNED, None) for metric in experiment.metrics.values()}
        columns = {name.lower(): name for name in experiment.metrics}
        return {
            name: columns[name.lower()]
            for name in self.metrics
            if name not in experiment.metrics and name not in named and name.lower() in columns
        }

    def added_to(self, experiment: Experiment) -> Experiment:
        """Return an experiment with a metric for each name that its file does not mention, and with rows."""
        if experiment.function is None:
            return experiment
        metrics = dict(experiment.metrics)
        taken = {name.lower() for name in metrics}
        for name in self.metrics:
            if name.lower() not in taken:
                taken.add(name.lower())
                metrics[name] = Metric(source=SOURCES[RETURNED](**{RETURNED: name}))
        rows = experiment.rows
        if rows is None and self.rows:
            rows = Rows(source=ROW_SOURCES[RETURNED](**{RETURNED: self.rows[0]}))
        return replace(experiment, metrics=metrics, rows=rows)
