"""Two submissions beside each other: the file's difference, and their results by setting."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_lab.cli.commands.diff import compare_submissions
from tui_lab.cli.errors import UsageError
from tui_lab.cli.text import plural
from tui_lab.spec.problem import SpecError
from tui_lab.store.errors import LabError
from tui_lab.tui.background import work
from tui_lab.tui.history_look import Submission, address, difference
from tui_lab.tui.history_results import LIKELY, Compared, compare_results
from tui_lab.tui.table import Column, FrameTable

if TYPE_CHECKING:
    from tui_lab.store.lab import Lab


class Comparing(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
    ]
    DEFAULT_CSS = """
    Comparing {
        align: center middle;
        & > #dialog {
            width: 96%; height: 96%; padding: 0 1; background: $surface; border: round $primary;
            border-title-color: $text-primary; border-title-style: bold; border-subtitle-color: $text-muted;
        }
        #changes { height: auto; max-height: 50%; scrollbar-size-vertical: 1; }
        #changes > Static { width: 1fr; }
        #how { height: auto; color: $text-muted; margin-top: 1; }
        FrameTable { height: 1fr; }
    }
    """

    def __init__(self, lab: Lab, first: Submission, second: Submission) -> None:
        super().__init__()
        self.lab = lab
        self.sides = first, second

    def compose(self) -> ComposeResult:
        names = [address(one) for one in self.sides]
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(f"{names[0]} and {names[1]}")
            dialog.border_subtitle = "tab changes sides, esc closes"
            with VerticalScroll(id="changes"):
                yield Static("reading", id="difference")
            yield Static(id="how")
            yield FrameTable(id="by-setting")

    def on_mount(self) -> None:
        self.query_one("#changes").focus()
        self.query_one(FrameTable).placeholder = "reading the results"
        self._compare()

    @work(thread=True)
    def _compare(self) -> None:
        first, second = self.sides
        try:
            names = [(str(one["experiment"]), int(one["number"])) for one in self.sides]
            found = compare_submissions(self.lab, names[0], names[1])
            text = difference(address(first), address(second), found)
            self.app.call_from_thread(self.query_one("#difference", Static).update, text)
            sides = [(self.lab.experiment(one["experiment"]), int(one["plan"])) for one in self.sides]
            self.app.call_from_thread(self._show, compare_results(sides[0], sides[1]))
        except (LabError, UsageError, SpecError, OSError) as error:
            self.app.call_from_thread(self.query_one("#difference", Static).update, Content(str(error)))
        except Exception as error:
            said = Content(f"a mistake of this program: {type(error).__name__}: {error}")
            self.app.call_from_thread(self.query_one("#difference", Static).update, said)
            raise

    def _show(self, compared: Compared) -> None:
        how, table = self.query_one("#how", Static), self.query_one(FrameTable)
        table.placeholder = "no results to compare"
        if compared.metric is None:
            how.update("the two have no metric in common")
            return
        goal = {"max": ", more is better", "min": ", less is better", None: ""}[compared.goal]
        same = " Both have the same tasks." if compared.same else ""
        equal = f" {plural(compared.equal, 'setting')} with equal values left out." if compared.equal else ""
        table.placeholder = "no setting differs" if compared.equal else table.placeholder
        how.update(
            Content(f"{compared.metric}: mean with 95 % interval{goal}; largest differences first.{same}{equal}")
        )
        table.set_frame(compared.frame, columns=self._columns(compared))

    def _columns(self, compared: Compared) -> list[Column]:
        first_name, second_name = map(address, self.sides)

        def better(change: float) -> str:
            if not change or compared.goal is None:
                return ""
            return "success" if (change > 0) == (compared.goal == "max") else "error"

        facts = [
            Column("n_1", f"n {first_name}"),
            Column("mean_1", first_name, align="right"),
            Column("n_2", f"n {second_name}"),
            Column("mean_2", second_name, align="right"),
            Column("change", format=lambda value: f"{value:+.4g}", style=better),
            Column("p", format=lambda value: "<0.001" if value < 0.001 else f"{value:.3f}",
                   style=lambda value: "bold" if value < LIKELY else "muted"),
        ]  # fmt: skip
        own = {column.name for column in facts}
        return [*(Column(name) for name in compared.frame.columns if name not in own), *facts]

    def action_leave(self) -> None:
        self.dismiss(None)
