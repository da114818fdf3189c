"""The rows of an experiment as the source of a chart."""

from __future__ import annotations

from tui_lab.experiment.model import Experiment
from tui_lab.results.charts.model import Goal, Source
from tui_lab.results.charts.registry import kind_of
from tui_lab.results.facts import is_fact
from tui_lab.results.planned import without_unplanned
from tui_lab.results.tables import Results


def source_of(results: Results, kind: str) -> tuple[Source, dict[str, Goal]]:
    """Return the rows that a kind of chart draws, and the goals of their metrics by column. Raises ChartError for an
    unknown kind."""
    steps = kind_of(kind).of_steps
    frame, notes = without_unplanned(results.steps, results.tasks) if steps else (results.grid, ())
    parameters = [name for name in results.parameters if name in frame.columns]
    metrics = list(results.metrics.values())
    if steps:
        metrics = [name for name in frame.columns if not is_fact(name) and name not in parameters]
    columns = {results.metrics[name]: metric.goal for name, metric in results.spec.metrics.items()}
    goals = {column: goal for column, goal in columns.items() if goal is not None and column in metrics}
    shared = results.shared_steps(frame) if steps else results.shared_by_column
    known = geometric(results.spec)
    return Source(frame, tuple(parameters), tuple(metrics), results.name, shared, known, notes=notes), goals


def geometric(spec: Experiment) -> frozenset[str]:
    """Return the parameters of an experiment whose domains have equal ratios."""
    return frozenset(name for sweep in spec.parameters for name, domain in sweep.items() if domain.is_geometric)
