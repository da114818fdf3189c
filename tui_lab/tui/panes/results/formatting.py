"""The lines above and below the table of results."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content

from tui_lab.results.plain import shown
from tui_lab.results.statistics.importance import Importance
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.results.statistics.table import GOALS, interval_note, verdict_text
from tui_lab.results.statistics.text import number, share
from tui_lab.tui.panes.results.rows import words
from tui_lab.tui.panes.results.view import View
from tui_lab.tui.widgets.table.cells import visible

_SHORT = 60
"""Cells of the name of a setting up to which it is said with all digits."""
_BAR = 10
"""Cells of a bar for all of the variance."""


def title(report: Report, metric: MetricReport, view: View) -> Content:
    """Return a title such as `test_acc, more is better: 30 settings`."""
    count = report.settings.count
    said = f", {GOALS[metric.goal]}: {count:,} setting{'' if count == 1 else 's'}"
    if report.settings.averaged:
        said += f", averaged over {', '.join(report.settings.averaged)}"
    if view.front is not None:
        said += f"; {len(view.places):,} on the Pareto front with {view.request.front}"
    return Content.from_markup("[bold]$name[/]$said", name=metric.name, said=said)


def how(report: Report, metric: MetricReport, key: str) -> Content:
    """Return which settings do not differ, and by which test. key: sets a goal."""
    texts = f"no goal is set: {key} sets it" if metric.goal is None else verdict_text(report, metric, brief=True)
    parts = [texts] if texts else []
    parts += [] if metric.known.deterministic else [interval_note(report, metric)]
    if report.baseline is not None:
        parts.insert(0, f"◆ baseline {words(report, report.baseline)}")
    return Content.from_markup("[$foreground 68% $quiet]$it[/]", it=" · ".join(parts))


def setting(report: Report, metric: MetricReport, place: int) -> Content:
    """Return all about the setting under the cursor."""
    found = metric.comparisons[place]
    said = ""
    if found is not None and found.low is not None and found.high is not None:
        said = f": {number(found.difference)} [{number(found.low)}, {number(found.high)}] from the baseline"
    return Content.from_markup("[bold]$words[/]$said", words=_heading(report, place), said=said)


def _heading(report: Report, place: int) -> str:
    """Return the name of a setting as `words`; where it is short, with all digits of its numbers."""
    label = report.settings.label(place)
    said = " ".join(f"{name}={'null' if value is None else shown(value)}" for name, value in label.items())
    return visible(said) if said and cell_len(said) <= _SHORT else words(report, place)


def importance_line(explained: Importance, single: bool) -> Content:
    """Return shares of the variance, largest first. single: settings have one value each."""
    rest = [("interactions and noise" if single else "interactions", explained.interactions)]
    rest += [] if single else [("repeats", explained.repeats)]
    parts = []
    for name, value in [*explained.parameters.items(), *rest]:
        color = "$text-primary" if name in explained.parameters else "$foreground 68% $quiet"
        bar = "━" * round(_BAR * value)
        bar += " " if bar else ""
        parts.append(Content.from_markup(f"$name [{color}]$bar[/]$share", name=name, bar=bar, share=share(value)))
    return Content.assemble(Content.from_markup("[$foreground 68% $quiet]importance  [/]"), Content("  ").join(parts))


def notes(view: View, most: int = 4) -> Content:
    """Return the notes on the results, at most `most` of them."""
    shown = list(view.notes[:most])
    if len(view.notes) > most:
        shown.append(f"{len(view.notes) - most} more: tui-lab stats {view.experiment}")
    return Content("\n").join(Content.from_markup("[$text-warning]▲[/] $it", it=note) for note in shown)
