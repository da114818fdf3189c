"""The progress of what runs."""

from __future__ import annotations

import time
from typing import Final

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive

from tui_lab.client.formatting import stages_line
from tui_lab.tui.app.frame.line import Line, clickable
from tui_lab.tui.base.formatting import MUTED, STATE_STYLES, bar, count_words, mark, rate_words, short, span_words
from tui_lab.tui.base.snapshot import ExperimentSnapshot, LabSnapshot
from tui_lab.tui.widgets.spark import braille_line

_BAR: Final = 40  # cells that a progress bar takes at most
_LEAST: Final = 8  # and at least, before words go
_LINES: Final = 3  # of runs that are shown
_HIGH: Final = 30  # lines of the screen from which there is more than one
_WIDE: Final = 100  # cells from which states have their words,
_ROOMY: Final = 20  # or where so many cells are left for the bar
_NAME: Final = 20  # cells of a name at most
_SPARK: Final = 12  # cells of the throughput


class Runs(Line):
    """The progress of the current experiment, and where there is room, of others that are going."""

    DEFAULT_CSS = "Runs { background: $panel; color: $foreground; }"
    snapshot: reactive[LabSnapshot] = reactive(LabSnapshot(), repaint=False)
    current: reactive[str | None] = reactive(None, repaint=False)

    def on_mount(self) -> None:
        self._clock = self.set_interval(1.0, self.renew, pause=True)

    def watch_snapshot(self, before: LabSnapshot, snapshot: LabSnapshot) -> None:
        same = before.experiments == snapshot.experiments and before.problem == snapshot.problem
        if not same or before.lab is not snapshot.lab or not before.taken:
            self._fit()

    def watch_current(self) -> None:
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        if not self.is_mounted:
            return
        shown = self._shown()
        height = max(1, len(shown))
        if self.styles.height is not None and self.styles.height.value != height:
            self.styles.height = height
        if any(one.eta is not None for one in shown):
            self._clock.resume()  # the snapshot stays the same while only the clock moves
        else:
            self._clock.pause()
        self.renew()

    def _shown(self) -> list[ExperimentSnapshot]:
        """Return the experiments that have a line: the current one first."""
        current = self.snapshot.experiment(self.current)
        found = [] if current is None else [current]
        if self.app.size.height >= _HIGH:
            found += [one for one in self.snapshot.experiments if one.active and one is not current]
        return found[:_LINES]

    def text(self) -> Content:
        shown = self._shown()
        if not shown or (len(shown) == 1 and shown[0].problem):
            return Content.styled(self._nothing(shown[0] if shown else None), MUTED).truncate(self.room, ellipsis=True)
        names = [short(one.name, _NAME) for one in shown] if len(shown) > 1 else [""]
        width = max(cell_len(name) for name in names)
        more = sum(one.active for one in self.snapshot.experiments if one not in shown) if len(shown) > 1 else 0
        lines = []
        for place, (one, name) in enumerate(zip(shown, names, strict=True)):
            last = f"  +{more:,} more" if more and place == len(shown) - 1 else ""
            lines.append(self._line(place, one, name.ljust(width + 2) if width else "", last))
        return Content("\n").join(lines)

    def _line(self, place: int, one: ExperimentSnapshot, name: str, last: str) -> Content:
        head = clickable(Content.styled(name, "bold"), f"show_run({place})") if name else Content()
        if one.problem:
            return Content.assemble(head, (one.problem, MUTED)).truncate(self.room, ellipsis=True)
        share = f"{int(100 * one.settled / one.planned)}%" if one.planned else "nothing planned"
        words = self._words(one)
        room = self.room - cell_len(name) - len(last) - 2 - len(share)
        counts = self._counts(one, True)
        left = room - counts.cell_length - sum(word.cell_length + 2 for word in words.values())
        if self.room < _WIDE and left < _ROOMY:
            counts = self._counts(one, False)
        room -= counts.cell_length
        counts = Content.assemble(counts, (last, MUTED))
        # What says least goes first.
        for least in ("stages", "count", "spark", "rate", "left"):
            if room - sum(word.cell_length + 2 for word in words.values()) < _LEAST:
                words.pop(least, None)
        width = min(_BAR, room - 1 - sum(word.cell_length + 2 for word in words.values()))
        done, bad = one.counts.get("done", 0), one.counts.get("failed", 0) + one.counts.get("lost", 0)
        parts = [(done, "$success"), (bad, "$error")]
        cells = bar(width, parts, one.planned, self.ascii) if width >= 4 else []
        tail = [piece for word in words.values() for piece in ("  ", word)]
        return self.fitted(Content.assemble(head, *cells, " " if cells else "", (share, "bold"), *tail), counts)

    def action_show_run(self, place: int) -> None:
        """Make the experiment of a line the current one."""
        shown = self._shown()
        if place < len(shown):
            self.lab_app.current = shown[place].name

    def _words(self, one: ExperimentSnapshot) -> dict[str, Content]:
        """Return what is said behind the bar, by what it is, in the order in which it stands."""
        if not one.active or one.paused is not None or one.drained:
            word = "paused" if one.paused is not None else "finishing" if one.active else ""
            return {"left": Content(word)} if word else {}
        found = {"count": Content.styled(f"{one.settled:,}/{one.planned:,}", MUTED)}
        if stages := stages_line(one.stages):
            found["stages"] = Content(stages)
        if one.rate:
            found["rate"] = Content(rate_words(one.rate))
        left = one.remaining(time.time())
        least = "at least " if one.grows else ""
        waits = not one.rate and not one.counts.get("running") and not one.stages
        found["left"] = Content(
            f"{least}{span_words(left)} left" if left is not None else "waiting" if waits else "going"
        )
        if any(one.throughput):
            width = max(4, min(_SPARK, (len(one.throughput) + 1) // 2))
            line = braille_line(one.throughput, width, low=0, filled=True, ascii=self.ascii)
            found["spark"] = Content.styled(line, "$text-primary")
        return found

    def _nothing(self, one: ExperimentSnapshot | None) -> str:
        if one is not None:
            return one.problem
        if self.snapshot.problem:
            return "the lab can't be read"
        if self.snapshot.lab is not None:
            return "nothing has run yet"
        return "no lab yet: the first run creates it" if self.snapshot.taken else "reading the lab"

    def _counts(self, one: ExperimentSnapshot, words: bool) -> Content:
        parts = []
        for state, count in count_words(one.counts):
            label = f"{mark(state, self.ascii)} {count:,}" + (f" {state}" if words else "")
            parts.append(clickable(Content.styled(label, STATE_STYLES[state]), f"app.show_state('{state}')"))
        return Content("  ").join(parts)
