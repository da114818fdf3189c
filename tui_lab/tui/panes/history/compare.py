"""Two submissions beside each other: the file's difference, and their results by setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import plural
from tui_lab.client.submissions import compare_submissions
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.numeric.whole_numbers import side_by_side
from tui_lab.results.statistics.comparison import ComparisonMethod, Goal, against
from tui_lab.results.statistics.resolution import Resolution, resolution
from tui_lab.results.statistics.sample import CONFIDENCE, Sample, Summary, describe
from tui_lab.results.statistics.settings import Settings, leading_metric, numeric_metrics, varying
from tui_lab.results.statistics.text import means_and_intervals
from tui_lab.results.tables import Results, refresh
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.base.workers import work
from tui_lab.tui.panes.history.formatting import Submission, address, difference
from tui_lab.tui.widgets.table.table import Column, FrameTable

if TYPE_CHECKING:
    from tui_lab.store.lab import Lab


# --- The results of two submissions, setting by setting
_NOTHING = Sample(())
LIKELY = 0.05  # p-values below this tell two means apart


@dataclass(frozen=True)
class Compared:
    """frame: a row per setting, those that differ most first. metric: what was compared, None where the two have
    none in common."""

    metric: str | None
    goal: Goal | None
    frame: pl.DataFrame
    same: bool = False  # both have the same tasks
    equal: int = 0  # settings with the same values on both sides, which have no row


def compare_results(first: tuple[ExperimentFolder, int], second: tuple[ExperimentFolder, int]) -> Compared:
    """Means of the leading metric in each setting. Each side is an experiment and the number of a plan.

    Raises LabError, SpecError.
    """
    results = [refresh(folder) for folder, _ in (first, second)]
    tables = [_done(one, side) for one, side in zip(results, (first, second), strict=True)]
    metric = _common_metric(results[0], results[1])
    if metric is None:
        return Compared(None, None, pl.DataFrame())
    wanted = dict.fromkeys([*varying(results[0]), *varying(results[1])])
    by = [name for name in wanted if all(name in one.parameters for one in results)]
    parts, offset = side_by_side([table[one.metrics[metric]] for table, one in zip(tables, results, strict=True)])
    sides = [
        _samples(table, by, part, one.shared_runs(metric, table))
        for table, part, one in zip(tables, parts, results, strict=True)
    ]
    known = resolution((sample.values for side in sides for sample in side.values()), offset)
    keys = list(dict.fromkeys([*sides[1], *sides[0]]))
    differing = [key for key in keys if not _equal(sides[0].get(key), sides[1].get(key))]
    lines = [_row(sides[0].get(key), sides[1].get(key), known) for key in differing]
    means = [
        means_and_intervals([summaries[side].ends for summaries, _ in lines], known.step, offset=offset)
        for side in (0, 1)
    ]
    rows = [
        {**dict(zip(by, key, strict=True)), **facts, "mean_1": first_mean, "mean_2": second_mean}
        for key, (_, facts), first_mean, second_mean in zip(differing, lines, *means, strict=True)
    ]
    schema = dict.fromkeys(by, pl.String) | {
        "n_1": pl.Int64, "mean_1": pl.String, "n_2": pl.Int64, "mean_2": pl.String,
        "change": pl.Float64, "p": pl.Float64,
    }  # fmt: skip
    blank = pl.col("mean_1", "mean_2").str.strip_chars_end().replace("", None)
    frame = pl.DataFrame(rows, schema=schema).with_columns(blank)
    frame = frame.sort(pl.col("p").fill_null(2.0), pl.col("change").abs(), descending=[False, True])
    same = tables[0]["task_id"].equals(tables[1]["task_id"]) and first[0].path == second[0].path
    return Compared(metric, results[1].spec.metrics[metric].goal, frame, same, len(keys) - len(differing))


def _common_metric(first: Results, second: Results) -> str | None:
    """The leading metric of one that the other has, too; else any that both have."""
    both = [name for name in numeric_metrics(second) if name in numeric_metrics(first)]
    return next((name for name in (leading_metric(second), leading_metric(first), *both) if name in both), None)


def _done(results: Results, side: tuple[ExperimentFolder, int]) -> pl.DataFrame:
    """The done tasks of a plan."""
    folder, plan = side
    ids = folder.plan(plan).tasks.select(pl.col("task_id").cast(pl.Int64))
    return results.tasks.filter(pl.col("state") == "done").join(ids, on="task_id", how="semi", maintain_order="left")


def _samples(
    table: pl.DataFrame, by: Sequence[str], values: pl.Series, once: pl.Series | None
) -> dict[tuple[str, ...], Sample]:
    """The values in each setting, identified by its parameters as text: two experiments may type them differently.
    once: what each was measured on, as `Settings.samples` takes it."""
    settings = Settings(table, tuple(by), (), ("repeat",))
    keys = [tuple(str(value) for value in settings.label(index).values()) for index in range(settings.count)]
    return dict(zip(keys, settings.samples(values, once), strict=True))


def _equal(one: Sample | None, two: Sample | None) -> bool:
    return one is not None and two is not None and sorted(one.values) == sorted(two.values)


def _row(one: Sample | None, two: Sample | None, known: Resolution) -> tuple[list[Summary], dict[str, object]]:
    """What each side has of a setting, and what is shown besides the means."""
    samples = [one or _NOTHING, two or _NOTHING]
    summaries = [describe(sample, CONFIDENCE, None, known) for sample in samples]
    found = against(samples, summaries, 0, ComparisonMethod(CONFIDENCE, "none", False, known))[1]
    facts: dict[str, object] = {
        "n_1": len(one.values) if one else None,
        "n_2": len(two.values) if two else None,
        "change": found.difference if found else None,
        "p": found.p if found else None,
    }
    return summaries, facts


class Comparing(ModalScreen[None]):
    """The dialog that compares two submissions."""

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
            said = Content(f"internal error: {type(error).__name__}: {error}")
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
            Column("change", style=better, sign=True),
            Column("p", format=lambda value: "<0.001" if value < 0.001 else f"{value:.3f}",
                   style=lambda value: "bold" if value < LIKELY else "muted"),
        ]  # fmt: skip
        own = {column.name for column in facts}
        return [*(Column(name) for name in compared.frame.columns if name not in own), *facts]

    def action_leave(self) -> None:
        self.dismiss(None)
