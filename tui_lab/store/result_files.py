"""The files in a task's folder from which results are read. They are fetched from nodes whatever `keep` says, and stay
where the other files of a run of a stage are removed."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.model import Experiment
from tui_lab.portable.function.returned import FILE as RETURNED_FILE
from tui_lab.store import layout

OUTPUTS: Final = (
    *(glob for stream in ("stdout", "stderr") for glob in (stream, f"{stream}.*", f"*.{stream}", f"*.{stream}.*")),
    layout.METRICS_FILE,
    f"{layout.METRICS_FILE}.*",
    layout.PARAMS_FILE,
)
"""Globs of what each task may have: outputs, live metrics, parameters. All are directly in its folder."""


def named_files(experiment: Experiment) -> tuple[str, ...]:
    """Return the names of the files in which metrics and rows look, and of what a function returns."""
    sources: list[str | None] = [experiment.rows.source.file] if experiment.rows is not None else []
    sources += [RETURNED_FILE] if experiment.function is not None else []
    sources += [metric.source.file for metric in experiment.metrics.values()]
    return tuple(source for source in sources if source is not None and source not in ("stdout", "stderr"))
