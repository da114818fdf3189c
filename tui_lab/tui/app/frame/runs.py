"""The progress of what runs."""

from __future__ import annotations

import time
from typing import Final

from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive

from tui_lab.client.formatting import stages_line
from tui_lab.tui.app.frame.line import Line, clickable
from tui_lab.tui.base.formatting import MUTED, STATE_STYLES, bar, count_words, mark, rate_words, span_words
from tui_lab.tui.base.snapshot import ExperimentSnapshot, LabSnapshot

_BAR: Final = 40  # cells that the progress bar takes at most


class RunLine(Line):
    """The progress of the current experiment: rate, time left, and tasks by state."""

    DEFAULT_CSS = "RunLine { background: $panel; color: $foreground; }"
    snapshot: reactive[LabSnapshot] = reactive(LabSnapshot())
    current: reactive[str | None] = reactive(None)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._count_down)

    def _count_down(self) -> None:
        """The snapshot stays the same while only the clock moves."""
        one = self.snapshot.experiment(self.current)
        if one is not None and one.eta is not None:
            self.refresh()

    def render(self) -> RenderResult:
        one = self.snapshot.experiment(self.current)
        if one is None or one.problem:
            return Content.styled(self._nothing(one), MUTED).truncate(self.room, ellipsis=True)
        counts = self._counts(one, self.room >= 100)
        room = self.room - counts.cell_length - 2
        stages = stages_line(one.stages) if one.active else ""
        words = [*([stages] if stages else []), *self._speed(one)]
        share = f"{int(100 * one.settled / one.planned)}%" if one.planned else "nothing planned"
        while words and room < sum(cell_len(word) + 2 for word in words) + len(share) + 8:
            words.pop(0)  # the stages go first, then the rate, and the time left
        width = min(_BAR, room - len(share) - 1 - sum(cell_len(word) + 2 for word in words))
        done, bad = one.counts.get("done", 0), one.counts.get("failed", 0) + one.counts.get("lost", 0)
        parts = [(done, "$success"), (bad, "$error")]
        cells = bar(width, parts, one.planned, self.ascii) if width >= 4 else []
        tail = "".join(f"  {word}" for word in words)
        return self.fitted(Content.assemble(*cells, " " if cells else "", (share, "bold"), tail), counts)

    def _nothing(self, one: ExperimentSnapshot | None) -> str:
        if one is not None:
            return one.problem
        if self.snapshot.problem:
            return "the lab can't be read"
        if self.snapshot.lab is not None:
            return "nothing has run yet"
        return "no lab yet: the first run creates it" if self.snapshot.taken else "reading the lab"

    def _speed(self, one: ExperimentSnapshot) -> list[str]:
        if one.paused is not None:
            return ["paused"]
        if not one.active:
            return []
        if one.drained:
            return ["finishing"]
        rate = [rate_words(one.rate)] if one.rate else []
        left = one.remaining(time.time())
        least = "at least " if one.grows else ""
        return [*rate, f"{least}{span_words(left)} left" if left is not None else "going"]

    def _counts(self, one: ExperimentSnapshot, words: bool) -> Content:
        parts = []
        for state, count in count_words(one.counts):
            label = f"{mark(state, self.ascii)} {count:,}" + (f" {state}" if words else "")
            parts.append(clickable(Content.styled(label, STATE_STYLES[state]), f"app.show_state('{state}')"))
        return Content("  ").join(parts)
