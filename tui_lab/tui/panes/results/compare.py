"""The screen that shows some settings side by side, with a log of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.charts.terminal.canvas import rgb
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base.pane import HeldKeys, host_of, is_text
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.results.compared import LETTERS, Compared, colors_of, compare
from tui_lab.tui.widgets.log.linked import LinkedLogs
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.log.remote import OtherMachines
from tui_lab.tui.widgets.log.view import LogView
from tui_lab.tui.widgets.panels.layout import Arrangement, Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.plot.plot import Plot, look_of

FEWEST: Final = 2
MOST_SETTINGS: Final = 5
ROOMS: Final = {
    "compare-parameters": Room(30, 2),
    "compare-differences": Room(64, 4),
    "compare-curves": Room(50, 5),
}
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = (
    (("compare-curves",),),
    (("compare-differences", "compare-parameters"),),
    (("compare-differences", "compare-parameters"), ("compare-curves",)),
    (("compare-parameters",), ("compare-differences",), ("compare-curves",)),
)
LOG: Final = Room(38)
LEAST: Final = 8
"""Lines of the logs, and of curves, where there is room for them."""


def log_arrangements(letters: str) -> list[Arrangement]:
    """Return how the logs may stand: below each other, the first beside one other, in three columns, side by side."""
    first, *others = (f"compare-{letter}" for letter in letters)
    pairs: list[Arrangement] = [((first,), (other,)) for other in (*others[1:], others[0])]
    columns = [tuple([first, *others][start::3]) for start in range(3)]
    found: list[Arrangement] = [((first, *others),), *pairs]
    found += [tuple(columns)] if len(others) > 2 else []
    return [*found, tuple((name,) for name in (first, *others))]


class ComparingSettings(ModalScreen[None]):
    """The settings over the whole screen; `escape` goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back"),
        Binding("L", "link", "Link", id="results.link"),
        Binding("vertical_line", "arrange", "Arrange", id="app.arrange"),
        Binding("plus,equals_sign", "enlarge(1)", "Enlarge", id="app.enlarge"),
        Binding("minus,underscore", "enlarge(-1)", "Shrink", id="app.shrink"),
    ]
    DEFAULT_CSS = """
    ComparingSettings {
        background: $background;
        & > #compare-words { height: 14; }
        & Static { padding: 0 1; }
        & #compare-differences { height: auto; }
        & #compare-differences > VerticalScroll { height: auto; max-height: 100%; }
        & VerticalScroll > Static { width: auto; }
        & #compare-how { width: 1fr; }
        & LogPanel > #log-command { display: none; }
        & > #compare-keys { height: 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .-gone { display: none; }
    }
    """

    def __init__(self, lab: Lab, report: Report, metric: MetricReport, places: Sequence[int]) -> None:
        super().__init__()
        self._lab, self._report, self._metric, self._places = lab, report, metric, tuple(places)
        self._letters = LETTERS[: len(self._places)]
        self._others = OtherMachines(lambda: lab)
        self.linked = LinkedLogs(self._logs_seen)
        self._leader: LogView | None = None
        self._keys = HeldKeys(self)  # for the logs

    def compose(self) -> ComposeResult:
        host = host_of(self)
        words = PanelRow(
            Panel(VerticalScroll(Static("reading")), title="Parameters that differ", id="compare-parameters"),
            Panel(
                VerticalScroll(Static("reading"), Static(id="compare-how")),
                title="Differences",
                id="compare-differences",
            ),
            Panel(Plot(), title=f"{self._metric.name} by step", id="compare-curves"),
            rooms=ROOMS,
            arrangements=ARRANGEMENTS,
            chosen=host.arrangements("compare"),
        )
        words.id = "compare-words"
        yield words
        panels = [LogPanel(id=f"compare-{letter}", connect=self._others.connect) for letter in self._letters]
        logs = PanelRow(
            *panels,
            rooms=dict.fromkeys((panel.id or "" for panel in panels), LOG),
            arrangements=log_arrangements(self._letters),
            chosen=host.arrangements(f"compare-{len(panels)}-logs"),
        )
        logs.id = "compare-logs"
        yield logs
        yield Static(id="compare-keys")

    def on_mount(self) -> None:
        host = host_of(self)
        plot = self.query_one(Plot)
        plot.ascii = host.config.ascii
        colors = colors_of(host.palette, self._report, self._places)
        look = look_of(plot, plot.ascii)
        styles = []
        for letter, color in zip(self._letters, colors, strict=True):
            tint = look.tint(color)
            styles.append("bold" if tint is None else "bold #{:02x}{:02x}{:02x}".format(*rgb(tint)))
            self._log(letter).lead = Text(f"{letter} ", styles[-1])
            self._log(letter).clear("reading")
        self._log("A").view.focus()
        self._keys.hold()
        self._compare(colors, styles)

    def on_unmount(self) -> None:
        self._keys.let_go()
        self._others.close()

    def _log(self, letter: str) -> LogPanel:
        return self.query_one(f"#compare-{letter}", LogPanel)

    # --- Reading and showing

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self, colors: Sequence[int], styles: Sequence[str]) -> None:
        try:
            found = compare(self._lab, self._report, self._metric, self._places, colors, styles)
        except (LabError, SpecError, OSError) as error:
            deliver(self, self._failed, str(error))
        else:
            deliver(self, self._show, found)

    def _failed(self, problem: str) -> None:
        self._keys.let_go()
        self.query_one("#compare-parameters Static", Static).update(Content(problem))

    def _show(self, found: Compared) -> None:
        self.query_one("#compare-parameters Static", Static).update(found.parameters)
        self.query_one("#compare-differences Static", Static).update(found.differences)
        self.query_one("#compare-how", Static).update(found.how)
        plot = self.query_one(Plot)
        if isinstance(found.chart, str):
            plot.say(found.chart)
        else:
            self.query_one("#compare-curves", Panel).set_title(found.chart.y.label + " by step")
            plot.show_chart(found.chart)
        for letter, detail in zip(self._letters, found.tasks, strict=True):
            if detail is None:
                self._log(letter).clear("no task has ended")
            else:
                self._log(letter).open(detail)
        self.call_after_refresh(self._shown)

    def _shown(self) -> None:
        self._fit()
        self._keys.let_go()

    @on(PanelRow.Arranged)
    def _arranged(self) -> None:
        self.call_after_refresh(self._rearranged)

    def _rearranged(self) -> None:
        self._fit()
        self._follow()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Give the upper panels as many lines as they need, as far as the logs keep some; all to a panel that is to be
        alone."""
        words, logs = self._rows
        words.set_class(bool(logs.alone), "-gone")
        logs.set_class(bool(words.alone), "-gone")
        if words.alone:
            words.styles.height = "1fr"
            return
        needed = 0
        for names in words.shown:
            panels = [self.query_one(f"#{name}", Panel) for name in names]
            lines = [sum(one.outer_size.height for one in panel.query(Static)) or LEAST for panel in panels]
            needed = max(needed, sum(lines) + sum(panel.gutter.height for panel in panels))
        most = max(LEAST, self.size.height - LEAST - 3)
        curves = any("compare-curves" in names for names in words.shown)
        words.styles.height = min(most, max(needed, self.size.height * 2 // 5 if curves else 0))

    # --- Logs that scroll together

    def _logs_seen(self) -> list[LogPanel]:
        return [panel for panel in self.query(LogPanel) if panel.display and panel.detail is not None]

    @on(LogView.Scrolled)
    def _scrolled(self, event: LogView.Scrolled) -> None:
        self._leader = event.view
        self._follow()

    def _follow(self) -> None:
        leader = self._leader
        if leader is not None and leader.display:
            self.linked.follow(leader)

    @on(LogView.Moved)
    def _moved(self) -> None:
        how = "same line" if self.linked.by_line else "same progress, lengths differ"
        said = f"Linked: {how if self.linked.on else 'no'}" if self._logs_seen() else "Link"
        names = [("esc", "Back"), ("L", said), ("|", "Arrange"), ("+", "Enlarge")]
        keys = [Content.assemble((key, "bold $text-accent"), f" {name}") for key, name in names]
        self.query_one("#compare-keys", Static).update(Content("  ").join(keys), layout=False)

    def action_link(self) -> None:
        """Let the logs scroll together, or each for itself."""
        self.linked.on = not self.linked.on
        focused = next((panel.view for panel in self.query(LogPanel) if panel.view.has_focus), None)
        self._leader = focused or self._leader
        self._follow()
        self._moved()

    # --- Panels

    @property
    def _rows(self) -> tuple[PanelRow, PanelRow]:
        return self.query_one("#compare-words", PanelRow), self.query_one("#compare-logs", PanelRow)

    @property
    def _panel_here(self) -> Panel:
        inside = self.focused.ancestors_with_self if self.focused is not None else ()
        return next((one for one in inside if isinstance(one, Panel)), self._log("A"))

    def action_arrange(self) -> None:
        """Arrange the panels of the row with the focus in the next way."""
        row = next(one for one in self._panel_here.ancestors if isinstance(one, PanelRow))
        if not row.next():
            host_of(self).tell("there is room for one arrangement only; + enlarges a panel")
        self._keep_focus()

    def action_enlarge(self, by: int) -> None:
        """Enlarge the panel with the focus, or shrink it."""
        panel = self._panel_here
        row = next(one for one in panel.ancestors if isinstance(one, PanelRow))
        row.enlarge(panel.id or "", by)
        self._keep_focus()

    def _keep_focus(self) -> None:
        """Move the focus if its panel has gone."""
        if not self._panel_here.display:
            seen = [panel for panel in self.query(LogPanel) if panel.display]
            if seen:
                seen[0].view.focus()

    def action_leave(self) -> None:
        if is_text(self.focused):
            for panel in self.query(LogPanel):
                if panel.has_pseudo_class("focus-within"):
                    panel.action_leave_search()
        else:
            self.dismiss(None)
