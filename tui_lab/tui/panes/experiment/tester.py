"""The pattern tester: the metric under the cursor, or `rows`, tried on a real output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from textual import events
from textual.content import Content
from textual.widgets import Static

from tui_lab.client.formatting import plural, printable
from tui_lab.experiment.metric import Rows
from tui_lab.tui.base.empty import Instead, content
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import host_of, keys_of
from tui_lab.tui.panes.experiment.trial import Line, Trial

_TYPES: Final = {"str": "text", "cells": ""}


class PatternTester(Static, can_focus=False):
    """Shows one Trial, with as many lines around its match as there is room for."""

    DEFAULT_CSS = """
    PatternTester { height: 1fr; padding: 0 1; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.trial: Trial | None = None
        self._words: Instead = ""

    def show_trial(self, trial: Trial) -> None:
        """Show what a metric finds in an output."""
        self.trial, self._words = trial, ""
        self._draw()

    def show_words(self, words: Instead) -> None:
        """Say why there is no trial."""
        self.trial, self._words = None, words
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        if self.trial is None:
            self.update(content(self._words, host_of(self).config.ascii, keys_of(self), self.content_size.width))
        else:
            self.update(Content("\n").join(trial_lines(self.trial, *self.content_size)))


def trial_lines(trial: Trial, width: int, height: int) -> Iterator[Content]:
    """Yield the lines of a trial of a pattern. width, height: in characters."""
    asked = trial.asked
    place = ""
    if trial.task is not None:
        task, attempt = trial.task
        place = f" in {trial.source or 'its output'} of task {task}" + (f".{attempt}" if attempt > 1 else "")
    yield Content.from_markup("[bold]$name[/][$foreground 68% $quiet]$place[/]", name=asked.name, place=place)
    yield verdict(trial)
    used = 2
    if trial.columns:
        yield columns_line(trial)
        used += 1
    if trial.hint:
        yield Content.from_markup("[$text-warning]▲ $hint[/]", hint=printable(trial.hint))
        used += 1
    room = max(height - used, 1)
    first = max(0, min(trial.focus - room // 2, len(trial.lines) - room))
    shown = trial.lines[first : first + room]
    digits = len(str(shown[-1].number + 1)) if shown else 0
    for i, line in enumerate(shown, first):
        here = i == trial.focus and trial.found and not trial.columns
        yield output_line(line, digits, width, trial.value_span if here else None, here)


def verdict(trial: Trial) -> Content:
    """Return the result of a trial, such as `✓ 0.9123 (float), the last of 3 matches`."""
    if trial.message:
        return Content.from_markup("[$foreground 68% $quiet]$it[/]", it=trial.message)
    if not trial.found:
        return Content.from_markup("[$text-error]✗ nothing matches here[/]")
    if isinstance(trial.asked.what, Rows):
        return Content.from_markup("[$text-success bold]✓ $it[/]", it=plural(trial.matches, "row"))
    unit = f" {trial.asked.metric.unit}" if trial.asked.metric.unit and trial.value is not None else ""
    take = trial.asked.metric.take
    of = (
        ""
        if trial.asked.metric.source.search is None
        else f", {plural(trial.matches, 'match').replace('matchs', 'matches')}"
    )
    if trial.matches > 1:
        of = f", all {trial.matches:,} matches" if take == "all" else f", {take} of {trial.matches:,} matches"
    if trial.value is None:
        words = f"it matches, but is not of type {trial.type}{of}"
        return Content.from_markup("[$text-error]✗ $it[/]", it=words)
    shown = f'"{printable(trial.value)}"' if isinstance(trial.value, str) else f"{trial.value!r}"
    return Content.from_markup(
        "[$text-success bold]✓ $value$unit[/] [$foreground 68% $quiet]$type$of[/]",
        value=shown,
        unit=unit,
        type=trial.type,
        of=of,
    )


def columns_line(trial: Trial) -> Content:
    """Return in how many rows each column has a value: `epoch int 12 · loss float 11 of 12`."""
    parts = []
    for column in trial.columns:
        all_of_them = column.count == trial.matches
        count = f"{column.count:,}" if all_of_them else f"{column.count:,} of {trial.matches:,}"
        parts.append(
            Content.from_markup(
                "[bold]$name[/] [$foreground 68% $quiet]$type[/] "
                + ("$count" if all_of_them else "[$text-warning]$count[/]"),
                name=printable(column.name),
                type=_TYPES.get(column.type, column.type),
                count=count,
            )
        )
    return Content(" · ").join(parts)


def output_line(line: Line, digits: int, width: int, value: tuple[int, int] | None, focus: bool) -> Content:
    """Return a line of the output behind its number; of a long one the part around the match, for an output may be one
    line of megabytes."""
    room = max(width - digits - 2, 8)
    begin, end = _part(line, room, value)
    text = Content(one_for_one(line.text[begin:end]))
    for start, stop in line.spans:
        if start < end and stop > begin:
            text = text.stylize("$text-success underline", max(start - begin, 0), min(stop, end) - begin)
    if value is not None:
        text = text.stylize("$text-success bold reverse", max(value[0] - begin, 0), min(value[1], end) - begin)
    cut = Content.styled("…", MUTED)
    text = Content.assemble(cut if begin else "", text, cut if end < len(line.text) else "")
    number = Content.from_markup(
        "[$text-success bold]$it[/]" if focus else "[$foreground 68% $quiet]$it[/]",
        it=f"{'▸' if focus else ' '}{line.number + 1:>{digits}} ",
    )
    return number + text


def one_for_one(text: str) -> str:
    """Return a text of a task as it can be shown, with one character for each: spans count characters."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _part(line: Line, room: int, value: tuple[int, int] | None) -> tuple[int, int]:
    """Where the part of a line begins and ends that is shown in so many characters, one of them for each cut."""
    length = len(line.text)
    if length <= room:
        return 0, length
    start, stop = value or (line.spans[0] if line.spans else (0, 0))
    if stop <= room - 1:
        return 0, room - 1
    begin = min(max(start - room // 2, 0), length - room + 1)
    return begin, length if begin + room - 1 >= length else begin + room - 2
