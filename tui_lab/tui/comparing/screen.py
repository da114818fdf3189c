"""The screen that shows some settings, or some tasks, side by side, with a log or a picture of each."""

from __future__ import annotations

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
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base.pane import HeldKeys, host_of, is_text
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.comparing.model import LETTERS, Compared, Paint, Subject
from tui_lab.tui.tasks.pictures import Shown, TaskPictures
from tui_lab.tui.widgets.log.linked import LinkedLogs
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.log.remote import OtherMachines
from tui_lab.tui.widgets.log.view import LogView
from tui_lab.tui.widgets.panels.layout import Arrangement, Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.plot.plot import Plot, look_of

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
PICTURES: Final = "compare-pictures"
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


class Comparing(ModalScreen[None]):
    """They have the whole screen; `escape` goes back."""

    TITLE = "Compare"
    HELP = """
Two to five settings, or tasks, side by side: the parameters in which they differ, how much their values differ (with an
interval, and whether that tells them apart), their curves, and the log of a task of each.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back", tooltip="Go back."),
        Binding("question_mark,f1", "app.show_help", "Help", id="app.help", tooltip="List every key."),
        Binding("L", "link", "Link", id="results.link", tooltip="Let the logs scroll together, or each for itself."),
        Binding("m", "metric(1)", "Metric", id="results.metric", tooltip="Compare by the next metric."),
        Binding(
            "M", "metric(-1)", "Metric before", id="results.previous_metric", tooltip="Compare by the metric before."
        ),
        Binding(
            "i",
            "pictures",
            "Pictures",
            id="tasks.pictures",
            tooltip="Show the pictures of these tasks in the place of their logs, or the logs again.",
        ),
        Binding("left_square_bracket", "picture(-1)", "Picture before", id="tasks.picture_before"),
        Binding("right_square_bracket", "picture(1)", "Next picture", id="tasks.next_picture"),
        Binding("p", "load_picture", "Load picture", id="tasks.load_picture"),
        Binding("vertical_line", "arrange", "Arrange", id="app.arrange", tooltip="Arrange the panels in the next way."),
        Binding(
            "plus,equals_sign", "enlarge(1)", "Enlarge", id="app.enlarge", tooltip="Enlarge the panel with the focus."
        ),
        Binding("minus,underscore", "enlarge(-1)", "Shrink", id="app.shrink", tooltip="Shrink it."),
    ]
    DEFAULT_CSS = """
    Comparing {
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

    def __init__(self, lab: Lab, subject: Subject) -> None:
        super().__init__()
        self._lab, self._subject = lab, subject
        self._letters = LETTERS[: subject.count]
        self._found: Compared | None = None  # what is shown
        self._wanted: str | None = None  # the metric that was chosen last
        self.are_pictures_shown = False  # in the place of the logs
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
            Panel(Plot(), title="Curves", id="compare-curves"),
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
        pictures = PanelRow(TaskPictures(id=PICTURES), rooms={PICTURES: LOG}, arrangements=[((PICTURES,),)], chosen={})
        pictures.id = "compare-picture-row"
        pictures.display = False
        yield pictures
        yield Static(id="compare-keys")

    def on_mount(self) -> None:
        host = host_of(self)
        plot = self.query_one("#compare-curves Plot", Plot)
        plot.ascii = host.config.ascii
        for letter in self._letters:
            self._log(letter).clear("reading")
        self._log("A").view.focus()
        self._keys.hold()
        self._compare(None, Paint(host.palette, look_of(plot, plot.ascii)))

    def on_unmount(self) -> None:
        self._keys.let_go()
        self._others.close()

    def _log(self, letter: str) -> LogPanel:
        return self.query_one(f"#compare-{letter}", LogPanel)

    # --- Reading and showing

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self, metric: str | None, paint: Paint) -> None:
        try:
            found = self._subject.compare(self._lab, metric, paint)
        except (LabError, SpecError, OSError) as error:
            deliver(self, self._failed, str(error))
        else:
            deliver(self, self._show, found)

    def _failed(self, problem: str) -> None:
        self._keys.let_go()
        self.query_one("#compare-parameters Static", Static).update(Content(problem))

    def _show(self, found: Compared) -> None:
        before, self._found = self._found, found
        self.query_one("#compare-parameters Static", Static).update(found.parameters)
        self.query_one("#compare-differences Static", Static).update(found.differences)
        self.query_one("#compare-how", Static).update(found.how)
        plot, panel = self.query_one("#compare-curves Plot", Plot), self.query_one("#compare-curves", Panel)
        if isinstance(found.chart, str):
            panel.set_title("Curves")
            plot.say(found.chart)
        else:
            panel.set_title(Content(f"{found.chart.y.label} by step"))
            plot.show_chart(found.chart)
        if before is None:  # another metric leaves the logs alone
            self._open_logs(found)
            if self.are_pictures_shown:
                self._open_pictures()
        self.call_after_refresh(self._shown)

    def _open_logs(self, found: Compared) -> None:
        for letter, detail, style in zip(self._letters, found.tasks, found.styles, strict=True):
            log = self._log(letter)
            log.lead = Text(f"{letter} ", style)
            if detail is None:
                log.clear("no task has ended")
            else:
                log.open(detail)

    # --- Which metric

    def action_metric(self, step: int) -> None:
        """Compare by the next metric, or by the one before."""
        if self._found is None or len(names := self._found.metrics) < 2:
            host_of(self).tell("there is no other metric")
            return
        now = self._wanted or self._found.metric
        self._wanted = names[(names.index(now) + step) % len(names)]
        plot = self.query_one("#compare-curves Plot", Plot)
        self._compare(self._wanted, Paint(host_of(self).palette, look_of(plot, plot.ascii)))

    # --- Pictures in the place of the logs

    def action_pictures(self) -> None:
        """Show the pictures of these tasks in the place of their logs, or the logs again."""
        shown = self.are_pictures_shown = not self.are_pictures_shown
        _, logs = self._rows
        self.query_one("#compare-picture-row").display, logs.display = shown, not shown
        if shown:
            self._open_pictures()
            self.query_one(TaskPictures).focus_first()
        else:
            self._log("A").view.focus()
        self.call_after_refresh(self._fit)
        self._moved()

    def _open_pictures(self) -> None:
        if self._found is not None:
            tasks = zip(self._letters, self._found.tasks, strict=True)
            shown = [Shown(f"{letter} {one.address}", one.folder, _elsewhere(one.node)) for letter, one in tasks if one]
            self.query_one(TaskPictures).open(shown)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer another picture only where pictures are shown: the logs have these keys for themselves."""
        return self.are_pictures_shown if action in ("picture", "load_picture") else True

    def action_picture(self, by: int) -> None:
        """Show the next picture, or one before."""
        self.query_one(TaskPictures).step(by)

    def action_load_picture(self) -> None:
        """Load the picture that is shown, where it is on another machine."""
        self.query_one(TaskPictures).load()

    # --- How they stand

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
        pictures = self.query_one("#compare-picture-row", PanelRow)
        below = pictures if self.are_pictures_shown else logs
        words.set_class(bool(below.alone), "-gone")
        below.set_class(bool(words.alone), "-gone")
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
        if self.are_pictures_shown:
            return []
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
        metrics = self._found.metrics if self._found is not None else ()
        names = [("esc", "Back")] + ([("m", "Metric")] if len(metrics) > 1 else [])
        names += [("i", "Logs"), ("[ ]", "Next")] if self.are_pictures_shown else [("i", "Pictures"), ("L", said)]
        names += [("|", "Arrange"), ("+", "Enlarge"), ("?", "Help")]
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
        self.call_after_refresh(self._fit)

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
        elif not (self.are_pictures_shown and self.query_one(TaskPictures).give_up()):
            self.dismiss(None)


def _elsewhere(node: str | None) -> str | None:
    return None if node == "localhost" else node
