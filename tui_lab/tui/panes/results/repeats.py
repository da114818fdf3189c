"""Further repeats that would tell two settings apart: what is said of them, and how they are run."""

from __future__ import annotations

from dataclasses import dataclass

from tui_lab.client.formatting import plural
from tui_lab.client.submission import Choice
from tui_lab.results.statistics.power import MOST, Needed, needed
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.store.naming import SEED
from tui_lab.tui.panes.results.rows import condition, words


@dataclass(frozen=True)
class Offer:
    """Repeats that would separate a setting from the best, or the best from the one behind it. `reason` says why they
    can't be added from here, if so."""

    report: Report
    metric: MetricReport
    needed: Needed
    reason: str = ""

    @property
    def tasks(self) -> int:
        """How many tasks that would be."""
        return sum(self.needed.more)

    @property
    def sentence(self) -> str:
        """What is said below the table."""
        whom = "it from the best" if self.needed.places[0] != self.metric.best else "it from the next"
        if self.needed.total is None:
            return f"more than {MOST} repeats would separate {whom}"
        low, high = sorted(self.needed.more)
        count = str(high) if low == high else f"{low} and {high}" if low else f"{high}"
        said = f"about {count} more {'repeat' if count == '1' else 'repeats'} would separate {whom}"
        return said if self.reason else f"a: {said}"

    @property
    def repeat(self) -> int:
        """The repeats that the file must have for it."""
        given = self.report.results.spec.repeat
        wanted = [self.metric.asked[place].asked + more for place, more in self._parts]
        return max([given if isinstance(given, int) else 0, *wanted])

    @property
    def choice(self) -> Choice:
        """Exactly these tasks; further repeats of the other settings wait."""
        parts = []
        for place, more in self._parts:
            asked = self.metric.asked[place].asked
            own = [condition(self.report, place), f"repeat >= {asked}", f"repeat < {asked + more}"]
            parts.append(f"({' AND '.join(part for part in own if part)})")
        return Choice(only=" OR ".join(parts), new=True, hold=True)

    @property
    def question(self) -> str:
        """What it is for, in words."""
        names = " and ".join(words(self.report, place) for place, _ in self._parts)
        return f"{plural(self.tasks, 'further repeat')} of {names}"

    @property
    def _parts(self) -> list[tuple[int, int]]:
        return [part for part in zip(self.needed.places, self.needed.more, strict=True) if part[1]]


def offer(report: Report, metric: MetricReport, place: int, key: str) -> Offer | None:
    """Return what would separate a setting from the best; of the best, from the first one that is tied with it. None
    where they differ already, or nothing can be said. key: chooses the parameters that make a setting."""
    if metric.best is None:
        return None
    partner: int | None = metric.best
    if place == metric.best:
        partner = next((other for other in metric.order if metric.standing(other) == "tied"), None)
    if partner is None or metric.standing(place) not in ("best", "tied"):
        return None
    found = needed(metric, place, partner, report.paired)
    return None if found is None else Offer(report, metric, found, _reason(report, key))


def _reason(report: Report, key: str) -> str:
    """Return why repeats can't be added from here; empty where they can."""
    spec = report.results.spec
    if not isinstance(spec.repeat, int):
        return "`repeat` has a condition in the file: raise its `max`"
    if SEED in report.results.parameters:
        return f"its repeats are the values of the parameter {SEED}: add some to the file"
    if report.settings.averaged:
        return f"a setting is averaged over {', '.join(report.settings.averaged)}: {key} chooses all parameters"
    if report.results.spec.stage is not None:
        return "stages share runs between repeats: change `repeat` in the file"
    return ""
