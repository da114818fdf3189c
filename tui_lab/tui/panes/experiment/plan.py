"""What a run would do, beside the editor; or all that is wrong with the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_lab.client.formatting import STATE_MARKS, brief, plural, printable, runs, shortened, span
from tui_lab.client.plan_preview import stages_line
from tui_lab.client.submission import Prepared
from tui_lab.store import fold
from tui_lab.tui.base.empty import Instead, content
from tui_lab.tui.base.formatting import STATE_STYLES
from tui_lab.tui.base.pane import host_of, keys_of
from tui_lab.tui.panes.experiment.check import Forecast, Planned, in_text
from tui_lab.tui.widgets.editor import Mark

_VALUES: Final = 8
"""Values of a parameter that are shown."""
_STATE_COLORS: Final = {"new": "$text-primary", **STATE_STYLES}


class PlanView(Vertical):
    """The forecast, or the list of problems in its place."""

    DEFAULT_CSS = """
    PlanView {
        & #forecast { height: 1fr; padding: 0 1; }
        & #problems { height: 1fr; border: none; background: transparent; padding: 0 1; }
        & #problems:focus { border: none; }
        & .hidden { display: none; }
    }
    """

    class Chosen(Message):
        """A mark was chosen, to go to."""

        def __init__(self, mark: Mark) -> None:
            super().__init__()
            self.mark = mark

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._marks: tuple[Mark, ...] = ()

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="forecast", can_focus=True):
            yield Static(id="forecast-text")
        yield OptionList(id="problems", classes="hidden")

    @property
    def listing(self) -> OptionList:
        """The list of mistakes."""
        return self.query_one("#problems", OptionList)

    def show_problems(self, marks: Sequence[Mark], signs: dict[str, str]) -> None:
        """Show the list of problems in place of the plan: a file with an error can't run."""
        self._swap(problems=True)
        if tuple(marks) == self._marks:
            return
        self._marks = tuple(marks)
        kept = self.listing.highlighted
        self.listing.clear_options()
        self.listing.add_options(
            Option(
                Content.from_markup(
                    "[$text-error]$sign[/] [dim]$place[/] $text",
                    sign=signs[mark.level],
                    place=f"{mark.line + 1}:{mark.column + 1}",
                    text=mark.text,
                )
            )
            for mark in marks
        )
        if kept is not None and marks:
            self.listing.highlighted = min(kept, len(marks) - 1)

    def show_plan(self, planned: Planned, stale: bool = False) -> None:
        """Show a plan. stale: the text has changed since, and the next plan is being made."""
        self._swap(problems=False)
        self._marks = ()
        self.query_one("#forecast-text", Static).update(plan_content(planned, host_of(self).key("experiment.plan")))
        self.set_class(stale, "stale")

    def show_words(self, words: Instead) -> None:
        """Say why there is no plan."""
        self._swap(problems=False)
        self._marks = ()
        text = self.query_one("#forecast-text", Static)
        text.update(content(words, host_of(self).config.ascii, keys_of(self), text.content_size.width))

    def _swap(self, problems: bool) -> None:
        self.listing.set_class(not problems, "hidden")
        self.query_one("#forecast").set_class(problems, "hidden")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(self._marks[event.option_index]))


def plan_content(planned: Planned, key: str) -> Content:
    """Return the plan of the file as it is in the editor. key: plans what is too large to be planned unasked."""
    if planned.trouble:
        return Content.from_markup("[$text-error]✗ $words[/]", words=planned.trouble)
    if planned.waiting:
        words = f"{planned.waiting:,} combinations: too many to plan at each key press. {key} plans them."
        return Content.from_markup("[$text-warning]$words[/]", words=words)
    if planned.forecast is None:
        return Content("")
    return Content("\n").join(forecast_lines(planned.forecast))


def forecast_lines(forecast: Forecast) -> Iterator[Content]:
    """Yield the lines that say what a launch would do."""
    prepared = forecast.prepared
    plan, queued = prepared.plan, len(prepared.queued)
    run = "nothing to run"
    if prepared.has_work:
        run = f"{plural(queued, 'task') if queued else runs(sum(one.to_run for one in prepared.stages))} to run"
    time = ""
    if queued and forecast.seconds is not None:
        time = f", about {span(forecast.seconds)} on {plural(forecast.slots, 'slot')}"
    yield Content.from_markup("[bold]$run[/]$time", run=run, time=time)
    repeats = plan.tasks.height / max(forecast.combinations, 1)
    product = plural(forecast.combinations, "combination")
    if repeats == int(repeats):
        product += f" × {plural(int(repeats), 'repeat')}"
    yield Content.from_markup("[$foreground 68% $quiet]$it[/]", it=f"{product} = {plural(plan.tasks.height, 'task')}")
    yield counts_content(prepared.parts)
    if prepared.stages:
        yield Content.from_markup("[$foreground 68% $quiet]stages[/] $it", it=stages_line(prepared))
    if forecast.replaces:
        words = f"{forecast.replaces}: this one takes its place"
        yield Content.from_markup("[$text-warning]▲[/] $it", it=words)
    yield from again_lines(prepared)
    for notice in prepared.notices:
        yield Content.from_markup("[$text-warning]▲[/] $it", it=printable(in_text(notice)))
    yield Content("")
    for name, values in _domains(forecast):
        yield Content.from_markup("[$text-primary]$name[/] $values", name=name, values=values)
    if forecast.commands:
        yield Content("")
        first = "the first commands" if queued > len(forecast.commands) else "the commands"
        yield Content.from_markup(
            "[$foreground 68% $quiet]$it[/]", it=first if len(forecast.commands) > 1 else "the command"
        )
        for command in forecast.commands:
            for i, line in enumerate(command.splitlines() or [""]):
                yield Content.from_markup(
                    "[$foreground 68% $quiet]$sign[/] $line", sign="$" if i == 0 else " ", line=printable(line)
                )


def again_lines(prepared: Prepared) -> Iterator[Content]:
    """Return why tasks that were done before run again, a line for each reason."""
    for why, count in prepared.reasons.items():
        yield Content.from_markup("[$text-warning]▲[/] $it", it=f"{plural(count, 'task')} again: {why}")


def counts_content(counts: dict[str, int]) -> Content:
    """Return counts of tasks, such as `3,000 new · ✓ 20 done · ✗ 3 failed`."""
    parts = []
    for name in ("new", *fold.STATES):
        if counts.get(name):
            mark = f"{STATE_MARKS[name]} " if name in STATE_MARKS else "+ "
            color = _STATE_COLORS.get(name, "$text")
            parts.append(Content.from_markup(f"[{color}]$it[/]", it=f"{mark}{counts[name]:,} {name}"))
    return Content("  ").join(parts)


def _domains(forecast: Forecast) -> Iterator[tuple[str, str]]:
    plan = forecast.prepared.plan
    typed = plan.typed()
    for name in plan.names:
        values = typed[name].unique(maintain_order=True)
        words = ["null" if value is None else brief(value) for value in values.head(_VALUES)]
        more = f", … ({len(values):,} values)" if len(values) > _VALUES else ""
        yield name, shortened(printable(", ".join(words)), 100) + more


def problem_line(marks: Sequence[Mark], signs: dict[str, str], key: str) -> Text | Content:
    """Return the message on the line under the cursor, for below the editor. key: corrects it."""
    return Content("\n").join(
        Content.from_markup(
            f"[{'$text-error' if mark.level == 'error' else '$text-warning'}]$sign $words[/]"
            + ("  [$text-accent bold]$key[/] [$foreground 68% $quiet]corrects it[/]" if mark.fix else ""),
            key=key,
            sign=signs[mark.level],
            words=mark.text,
        )
        for mark in marks
    )
