"""A chart in as many cells as there are, drawn anew when they change."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Final

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.content import Content
from textual.geometry import Offset, Region
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from tui_lab.results.charts.model import Chart
from tui_lab.results.charts.terminal import marks
from tui_lab.results.charts.terminal.canvas import EIGHTHS, Run, mixed, rgb
from tui_lab.results.charts.terminal.draw import LEAST, Drawn, drawn
from tui_lab.results.charts.terminal.style import Look
from tui_lab.tui.base.actions import Action, bindings
from tui_lab.tui.base.empty import Instead, content
from tui_lab.tui.base.pane import keys_of
from tui_lab.tui.base.workers import work
from tui_lab.tui.widgets.plot.readout import Readout, readout
from tui_lab.tui.widgets.plot.window import Which, Window, can_zoom

ZOOM: Final = 0.8
"""How much of an axis is left at each step of the wheel."""
CALM: Final = 0.06
"""Seconds without another size after which a chart is drawn anew."""


def _action(name: str, keys: str, label: str, help: str, call: str) -> Action:
    return Action(f"plot.{name}", keys, label, help, shown=False, call=call, listed=False)


class Plot(Widget, can_focus=True):
    """Shows a Chart, or a sentence where there is none. Charts are drawn in a thread: many points take longer than a
    frame."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"plot--cross"}
    DEFAULT_CSS = """
    Plot {
        height: 1fr; padding: 0 1; color: $foreground; background: $surface;
        & > .plot--cross { color: $text-primary; }
    }
    """
    ALLOW_SELECT = False
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        _action("left", "left", "Crosshair", "Show the crosshair, which reads values, and move it.", "move(-1, 0)"),
        _action("right", "right", "Right", "Move the crosshair to the right.", "move(1, 0)"),
        _action("up", "up", "Up", "Move the crosshair up.", "move(0, 1)"),
        _action("down", "down", "Down", "Move the crosshair down.", "move(0, -1)"),
        _action("leave", "escape", "No crosshair", "Remove the crosshair.", "leave"),
        _action("in", "right_square_bracket", "Zoom in", "Show less of the x axis.", "zoom('x', 0.7)"),
        _action("out", "left_square_bracket", "Zoom out", "Show more of the x axis.", "zoom('x', 1.43)"),
        _action("in_y", "right_curly_bracket", "Zoom in (y)", "Show less of the y axis.", "zoom('y', 0.7)"),
        _action("out_y", "left_curly_bracket", "Zoom out (y)", "Show more of the y axis.", "zoom('y', 1.43)"),
        _action("pan_left", "shift+left", "Pan left", "Show what is to the left.", "pan('x', -0.25)"),
        _action("pan_right", "shift+right", "Pan right", "Show what is to the right.", "pan('x', 0.25)"),
        _action("pan_up", "shift+up", "Pan up", "Show what is above.", "pan('y', 0.25)"),
        _action("pan_down", "shift+down", "Pan down", "Show what is below.", "pan('y', -0.25)"),
        _action("whole", "home", "Whole chart", "Show all of the chart again.", "whole"),
    )
    BINDINGS = bindings(ACTIONS)

    @dataclass
    class Crossed(Message):
        """Something else is at the crosshair, or there is none."""

        text: Text
        lines: tuple[Text, ...] = ()
        """The same below each other, where it is of several series."""

    class Painted(Message):
        """The chart is on the screen."""

    @dataclass
    class _Ready(Message):
        number: int
        shown: Drawn | Instead

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chart: Chart | None = None
        self.ascii = False
        self._shown: Drawn | Instead = ""
        self._number = 0  # of the newest drawing that was asked for
        self._timer: Timer | None = None
        self.window = Window()
        """The part that is shown."""
        self._cross: tuple[float, float] | None = None
        self._told = Readout()
        self._grip: Offset | None = None  # where the mouse holds it
        self._dragged = False

    @property
    def text(self) -> str:
        """What is on the screen, without colours."""
        if not isinstance(self._shown, Drawn):
            return str(self._shown)
        return "\n".join("".join(run.text for run in line).rstrip() for line in self._shown.lines)

    @property
    def look(self) -> Look:
        """How the chart is drawn: in colour, in ASCII, on which ground."""
        return look_of(self, self.ascii)

    def show_chart(self, chart: Chart) -> None:
        """Draw a chart. What grows keeps the part that is shown, and the crosshair."""
        if self.chart is None or _axes(self.chart) != _axes(chart):
            self.window, self._cross = Window(), None
        self.chart = chart
        self._draw()

    def show_whole(self) -> None:
        """Show all of the chart, without a crosshair."""
        self._look(Window())
        self._set_cross(None)

    def say(self, said: Instead) -> None:
        """Say why there is no chart."""
        self.chart = None
        self._number += 1
        self._put(said)

    def set_ascii(self, ascii: bool) -> None:
        """Draw in ASCII characters only, or in all."""
        self.ascii = ascii
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CALM, self._draw)

    def _draw(self) -> None:
        width, height = self.content_size
        if self.chart is None or not width or not height:
            return
        self._number += 1
        if width < LEAST[0] or height < LEAST[1]:
            self._put("there is no room for a chart here")
            return
        self._draw_in_thread(self._number, self.chart, self.window, width, height, self.look)

    @work(thread=True, group="plot")
    def _draw_in_thread(self, number: int, chart: Chart, window: Window, width: int, height: int, look: Look) -> None:
        if number != self._number:
            return  # another one is wanted by now
        try:
            self.post_message(self._Ready(number, drawn(window.on(chart), width, height, look)))
        except Exception as error:  # noqa: BLE001 - said in place of the chart
            self.post_message(self._Ready(number, f"\n  this can't be drawn: {error}"))

    @on(_Ready)
    def _ready(self, event: _Ready) -> None:
        event.stop()
        if event.number == self._number:
            self._put(event.shown)
            self.post_message(self.Painted())

    def _put(self, shown: Drawn | Instead) -> None:
        self._shown = shown
        self.refresh()
        self._tell()

    def render(self) -> Content:
        """What is said in place of a chart."""
        said = "" if isinstance(self._shown, Drawn) else self._shown
        return content(said, self.ascii, keys_of(self), self.content_size.width)

    def render_line(self, y: int) -> Strip:
        if not isinstance(self._shown, Drawn):
            return super().render_line(y)
        lines, base = self._shown.lines, self.rich_style
        segments = [self._segment(run, base) for run in lines[y]] if y < len(lines) else []
        strip = Strip(segments).adjust_cell_length(self.content_size.width, base)
        return self._crossed(strip, y, self._shown)

    def _segment(self, run: Run, base: Style) -> Segment:
        """Cells; the name of the series that is nearest to the crosshair is marked."""
        segment = segment_of(run, base)
        if not run.series or run.series != self._told.nearest:
            return segment
        return Segment(segment.text, (segment.style or base) + Style(bold=True, reverse=True))

    # --- The crosshair

    @property
    def cross(self) -> tuple[float, float] | None:
        """The values at which the crosshair is."""
        return self._cross

    @property
    def cell_part(self) -> float:
        """The part of the y axis that a cell covers."""
        return 1 / self._shown.height if isinstance(self._shown, Drawn) else 0.0

    def _cell(self, drawn: Drawn) -> tuple[int, int] | None:
        """The column and the line of the crosshair, where it is in the field."""
        if self._cross is None:
            return None
        x, y = drawn.plan.x_place(self._cross[0]), drawn.plan.y_place(self._cross[1])
        if self.window.x is not None and self.window.y is None:
            y = max(0.0, min(y, 1.0))  # the height follows what is shown
        if not (-1e-9 <= x <= 1 + 1e-9 and -1e-9 <= y <= 1 + 1e-9):
            return None
        column = min(int(x * drawn.width), drawn.width - 1)
        return drawn.left + column, drawn.top + drawn.height - 1 - min(int(y * drawn.height), drawn.height - 1)

    def _crossed(self, strip: Strip, y: int, drawn: Drawn) -> Strip:
        cell = self._cell(drawn)
        if cell is None or not drawn.top <= y < drawn.top + drawn.height:
            return strip
        style = self.get_component_rich_style("plot--cross", partial=True)
        level, upright, both = "-|+" if self.ascii else "─│┼"
        if y == cell[1]:
            before, field, after = strip.divide([drawn.left, drawn.left + drawn.width, strip.cell_length])
            segments = [
                Segment(level * len(one.text), (one.style or Style()) + style) if not one.text.strip() else one
                for one in field
            ]
            strip = Strip.join([before, Strip(segments), after])
        before, here, after = strip.divide([cell[0], cell[0] + 1, strip.cell_length])
        (one,) = here
        if one.text in (level, *EIGHTHS):
            one = Segment(both if y == cell[1] else upright, (one.style or Style()) + style)
        return Strip.join([before, Strip([one]), after])

    def _set_cross(self, cross: tuple[float, float] | None) -> None:
        before = self._cell(self._shown) if isinstance(self._shown, Drawn) else None
        self._cross = cross
        if isinstance(self._shown, Drawn):
            width, height = self.content_size
            for cell in filter(None, (before, self._cell(self._shown))):
                self.refresh(Region(cell[0], 0, 1, height), Region(0, cell[1], width, 1))
        self._tell()

    def _tell(self) -> None:
        """Say what is at the crosshair, and mark in the legend which series is nearest."""
        told, drawn = Readout(), self._shown
        if self._cross is not None and self.chart is not None and isinstance(drawn, Drawn):
            told = readout(self.chart, drawn.plan, *self._cross, self.look)
        if told == self._told:
            return
        if told.nearest != self._told.nearest and isinstance(drawn, Drawn):
            named = [y for y, line in enumerate(drawn.lines) if any(run.series for run in line)]
            self.refresh(*(Region(0, y, self.content_size.width, 1) for y in named))
        self._told = told
        self.post_message(self.Crossed(told.line, told.lines))

    def _at(self, column: int, line: int) -> tuple[float, float] | None:
        """The values in the middle of a cell, where it is in the field."""
        drawn = self._shown
        if not isinstance(drawn, Drawn):
            return None
        across, up = column - drawn.left, drawn.top + drawn.height - 1 - line
        if not (0 <= across < drawn.width and 0 <= up < drawn.height):
            return None
        x, y = (across + 0.5) / drawn.width, (up + 0.5) / drawn.height
        plan = drawn.plan
        return (
            int(x * plan.x_slots) if plan.x_slots else plan.x.value(x),
            int((1 - y) * plan.y_slots) if plan.y_slots else plan.y.value(y),
        )

    def action_move(self, across: int, up: int) -> None:
        """Move the crosshair by cells; the first time it comes into the middle."""
        drawn = self._shown
        if not isinstance(drawn, Drawn):
            return
        cell = self._cell(drawn)
        if cell is None:
            cell = drawn.left + drawn.width // 2, drawn.top + drawn.height // 2
        else:
            wide = drawn.width / drawn.plan.x_slots if drawn.plan.x_slots else 1
            high = drawn.height / drawn.plan.y_slots if drawn.plan.y_slots else 1
            cell = cell[0] + math.ceil(across * wide), cell[1] - math.ceil(up * high)
        column = max(drawn.left, min(cell[0], drawn.left + drawn.width - 1))
        self._set_cross(self._at(column, max(drawn.top, min(cell[1], drawn.top + drawn.height - 1))))

    def action_leave(self) -> None:
        """Remove the crosshair."""
        self._set_cross(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._cross is not None if action == "leave" else super().check_action(action, parameters)

    # --- A part of the chart

    def action_zoom(self, which: Which, factor: float) -> None:
        """Show less or more of an axis, about the crosshair where there is one."""
        at = 0.5
        if self._cross is not None and isinstance(self._shown, Drawn):
            place = self._shown.plan.x if which == "x" else self._shown.plan.y
            at = max(0.0, min(place(self._cross[which == "y"]), 1.0))
        self._zoom(which, at, factor)

    def action_pan(self, which: Which, by: float) -> None:
        """Show a part beside this one."""
        if (whole := self._whole) is not None:
            self._look(self._held(which).panned(whole, which, by))

    def action_whole(self) -> None:
        """Show all of it again."""
        self.show_whole()

    def _zoom(self, which: Which, at: float, factor: float) -> None:
        if self.chart is not None and can_zoom(self.chart, which) and (whole := self._whole) is not None:
            self._look(self._held(which).zoomed(whole, which, at, factor))

    def _held(self, which: Which) -> Window:
        """The window; for a change of the height with that which is seen, where it is that of a part."""
        if which == "x" or self.window.x is None or self.window.y is not None or not isinstance(self._shown, Drawn):
            return self.window
        return replace(self.window, y=(self._shown.plan.y.low, self._shown.plan.y.high))

    @property
    def _whole(self) -> marks.Plan | None:
        """The scales of all of it."""
        if self.chart is None or not isinstance(self._shown, Drawn):
            return None
        return marks.plan(self.chart, self._shown.height)

    def _look(self, window: Window) -> None:
        if window != self.window:
            self.window = window
            self._draw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1 / ZOOM)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, ZOOM)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        drawn = self._shown
        if isinstance(drawn, Drawn):
            event.stop()
            place = event.get_content_offset_capture(self)
            if event.shift or event.ctrl:
                self._zoom("y", _part(drawn.top + drawn.height - 1 - place.y, drawn.height), factor)
            else:
                self._zoom("x", _part(place.x - drawn.left, drawn.width), factor)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._grip = event.get_content_offset_capture(self)
        self._dragged = False
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        drawn = self._shown
        if self._grip is None or not isinstance(drawn, Drawn):
            return
        place = event.get_content_offset_capture(self)
        across, down = place.x - self._grip.x, place.y - self._grip.y
        if (across or down) and (whole := self._whole) is not None:
            self._dragged, self._grip = True, place
            window = self.window.panned(whole, "x", -across / drawn.width)
            self._look(window.panned(whole, "y", down / drawn.height))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self.release_mouse()
        if self._grip is not None and not self._dragged:
            self._set_cross(self._at(*event.get_content_offset_capture(self)))
        self._grip = None


def _part(cells: int, length: int) -> float:
    return max(0.0, min((cells + 0.5) / length, 1.0))


def _axes(chart: Chart) -> object:
    """Return another value where what is along the axes is something else."""
    axes = ((one.label, one.kind, one.log, one.range) for one in (chart.x, chart.y))
    return chart.kind.name, chart.z is None, len(chart.uprights), *axes


def look_of(widget: Widget, ascii: bool) -> Look:
    """Return how charts are drawn on a widget: in colour, in ASCII, on which ground."""
    red, green, blue = widget.background_colors[1].rgb
    sixteen = widget.app.current_theme.ansi or widget.app.console.color_system == "standard"
    plain = ascii or widget.app.no_color
    return Look(not widget.app.no_color, ascii, None if sixteen or plain else mixed(red, green, blue))


def segment_of(run: Run, base: Style) -> Segment:
    """Return cells as Rich paints them."""
    if run.color is None and run.ground is None:
        return Segment(run.text, base)
    return Segment(run.text, base + _style(run.color, run.ground))


@lru_cache(4096)
def _style(color: int | None, ground: int | None) -> Style:
    return Style.from_color(*(None if one is None else RichColor.from_rgb(*rgb(one)) for one in (color, ground)))
