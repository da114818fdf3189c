"""The Query pane: SQL over the lab, its tables beside it, the answer below."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

import polars as pl
from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.content import Content

from tui_lab.experiment.domains.model import Value
from tui_lab.results.charts.model import Source
from tui_lab.results.sql import saved_queries
from tui_lab.results.sql.errors import QueryError
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base import exporting
from tui_lab.tui.base.empty import Empty, sentence
from tui_lab.tui.base.pane import NO_LAB, Pane, nothing
from tui_lab.tui.base.problem import Problem
from tui_lab.tui.base.snapshot import LabSnapshot
from tui_lab.tui.base.workers import promised, work
from tui_lab.tui.charts.defaults import of_answer
from tui_lab.tui.charts.linked import LinkedChart, Subject
from tui_lab.tui.charts.source import spec_of
from tui_lab.tui.panes.query import files, history
from tui_lab.tui.panes.query.actions import ACTIONS, HELP
from tui_lab.tui.panes.query.answer import NO_ROWS, AnswerView
from tui_lab.tui.panes.query.completion import tables_in
from tui_lab.tui.panes.query.editor import EditorBox, SqlEditor
from tui_lab.tui.panes.query.messages import Answered, Counted, Exported, Failed
from tui_lab.tui.panes.query.run import ALL_ROWS, ROWS, Run, means_current, parameters_of
from tui_lab.tui.panes.query.schema import SchemaTree
from tui_lab.tui.widgets.choice import ChoiceScreen, Item
from tui_lab.tui.widgets.panels.layout import Arrangement, Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.prompt import PromptScreen
from tui_lab.tui.widgets.table.table import FrameTable

ROOMS: Final = {"tables": Room(30), "query-text": Room(48, 4), "answer-panel": Room(48, 4), "query-chart": Room(48, 3)}
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = (
    (("query-text", "query-chart"),),
    (("query-text", "answer-panel"),),
    (("tables",), ("query-text", "query-chart")),
    (("tables",), ("query-text", "answer-panel")),
    (("tables",), ("query-text", "answer-panel"), ("query-chart",)),
)
NARROW: Final = 100  # cells of width below which the tables hide until they are asked for
TICK: Final = 0.25  # seconds between looks at the clock
PAUSE: Final = 2.0  # seconds at least between two automatic runs
LONGEST: Final = 30.0  # seconds that it rests at most, where answers are slow
FIRST: Final = "SELECT * FROM results"


class QueryPane(Pane):
    """The pane for SQL."""

    NAME = "query"
    TITLE = "Query"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = """
    QueryPane {
        & EditorBox {
            height: auto; min-height: 5; max-height: 40%;
            & SqlEditor { height: auto; min-height: 3; max-height: 100%; background: $surface; }
        }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.schema, self.box = SchemaTree(id="schema"), EditorBox()
        self.tables = Panel(self.schema, title="Tables", id="tables")
        self.chart = LinkedChart(
            id="query-chart", empty=Empty("The answer is drawn here", "query.run", "runs the query")
        )
        self.view = AnswerView()
        self.walk = history.Walk()
        self.run_: Run | None = None  # the one that is going
        self._row: int | None = None  # that the cursor goes to when there is an answer
        self.last: Run | None = None  # the one whose answer is shown
        self._wanted: Run | None = None  # the one that was asked last, unless it was cancelled
        self._answered_text = ""  # of the last that had an answer
        self._working: list[Run] = []
        self.limit = ROWS
        self.auto = False
        self.values: dict[str, Value] = {}  # of parameters, as last given
        self._from = (0, 0)  # where the text that runs begins in the editor
        self._asked: bool | None = None  # whether the tables are to be seen; None: where there is room
        self._known: object = None  # what the tables were read for
        self._about: str | None = None  # the experiment that `results` is of
        self._seen: object = None  # how the lab stood when the last query began
        self._ended = 0.0

    def compose(self) -> ComposeResult:
        yield PanelRow(
            self.tables,
            self.box,
            self.view,
            self.chart,
            rooms=ROOMS,
            arrangements=ARRANGEMENTS,
            chosen=self.lab_app.arrangements(self.NAME),
            absent=("tables",),
        )

    def on_mount(self) -> None:
        self.set_interval(TICK, self._tick)
        self._reflow()

    @property
    def editor(self) -> SqlEditor:
        """Where the query is typed."""
        return self.box.editor

    def focus_first(self) -> None:
        self.call_after_refresh(self._focus_part)

    def _focus_part(self) -> None:
        """Focus the rows if there is an answer, or will be: there the keys without ctrl act."""
        (self.editor if self.last is None and self.run_ is None else self.view.table).focus()

    def leave_text(self) -> None:
        self.view.table.focus()

    # --- The lab

    def show(self, snapshot: LabSnapshot) -> None:
        if snapshot.lab is None:
            self.view.say(sentence(nothing(snapshot, NO_ROWS), self.lab_app.key))
            return
        current = self.lab_app.current
        known = (
            current,
            *(one.name for one in snapshot.experiments),
            *(one.submissions for one in snapshot.experiments),
        )
        if known != self._known:
            first, before, self._known = self._known is None, self._about, known
            self._about = current
            self.box.set_title(Content(f"SQL, results = {current}" if current else "SQL"))
            self.schema.read_tables(snapshot.lab, current)
            if first:
                self.walk.reset(history.read(snapshot.lab))
                if self.last is None and self.run_ is None:
                    key = self.lab_app.key
                    run, tables = key("query.run"), key("query.schema")
                    self.view.say(f"{run} runs the query, tab completes a word, {tables} shows the tables")
                if not self.editor.text.strip():
                    self.editor.set_text(self.walk.entries[-1] if self.walk.entries else FIRST)
            elif before != current:
                self._ask_of_another(snapshot.lab)

    def _ask_of_another(self, lab: Lab) -> None:
        """Run the query again if `results` means another table now. The old rows are removed at once."""
        wanted = self._wanted
        if self.last is not None and means_current(self.last.typed, lab):
            self.last = None
            self.view.clear()
        if wanted is not None and means_current(wanted.typed, lab):
            self._start(wanted.typed, wanted.parameters)

    def _stand(self) -> object:
        """Return another value when anything happened in the lab."""
        found = self.lab_app.snapshot.experiments
        going = any(one.active for one in found)
        return (tuple((one.name, one.revision) for one in found), time.monotonic() // PAUSE if going else 0)

    def _tick(self) -> None:
        run = self.run_
        if run is not None:
            self.view.running(run.seconds, run.cancelled)
        elif self.auto and self.last is not None and self._due():
            self._start(self.last.typed, self.last.parameters)

    def _due(self) -> bool:
        """Return whether to run the query again: something has happened, and the last run was long enough ago."""
        rested = time.monotonic() - self._ended >= min(max(PAUSE, 3 * self.view.answer.seconds), LONGEST)
        return rested and self.lab_app.pane is self and self._stand() != self._seen

    # --- Tables and columns

    @on(SchemaTree.Unreadable)
    def _unreadable(self, event: SchemaTree.Unreadable) -> None:
        self.view.fail(event.problem.message)

    @on(SchemaTree.CatalogChanged)
    def _catalog_changed(self) -> None:
        self.editor.catalog = self.schema.catalog
        self._typed()

    @on(SqlEditor.Changed)
    def _typed(self) -> None:
        self.schema.want(*tables_in(self.editor.text, self.schema.catalog))

    @on(SchemaTree.Named)
    def _named(self, event: SchemaTree.Named) -> None:
        self.editor.insert_name(event.text)

    # --- Running

    @property
    def _asked_last(self) -> tuple[str, Mapping[str, Value]]:
        """The query that was asked last, and its parameters."""
        run = self._wanted
        return ("", {}) if run is None else (run.typed, run.parameters)

    def place(self) -> object:
        return self.editor.text, *self._asked_last, self.view.table.cursor_row

    def go(self, place: object) -> None:
        match place:
            case (str(text), str(typed), dict(parameters), int(row)):
                if text != self.editor.text:
                    self.editor.set_text(text)
                if typed and (typed, parameters) != self._asked_last:
                    self._from = (0, 0)
                    self._start(typed, parameters)
                self._row = row
                if self.run_ is None:
                    self._go_to_row()

    def _go_to_row(self) -> None:
        """Put the cursor where it was, after going back."""
        row, self._row = self._row, None
        if row is not None:
            self.view.table.cursor_row = min(row, max(0, self.view.table.frame.height - 1))

    def open_query(self, sql: str) -> None:
        """Put a query into the editor and run it."""
        self.editor.set_text(sql)
        self._from = (0, 0)
        self._begin(sql)
        self.view.table.focus()

    def action_run(self) -> None:
        editor = self.editor
        editor.completer.popup.close()
        part = bool(editor.selected_text.strip())
        self._from = min(editor.selection) if part else (0, 0)
        self._begin(editor.selected_text if part else editor.text)

    def _begin(self, typed: str) -> None:
        lab = self.lab_app.lab
        if lab is None:
            self.view.fail(NO_LAB)
            return
        if not typed.strip():
            self.view.fail(f"there is no query; for example: {FIRST}")
            return
        names = parameters_of(typed, lab)
        if not names:
            self._start(typed, {})
            return
        known = " ".join(f"{name}={self.values.get(name, '')}" for name in names)
        check = files.parameters_verdict(names)
        self.app.push_screen(
            PromptScreen("Values of the query's parameters", known, check), partial(self._given, typed)
        )

    def _given(self, typed: str, text: str | None) -> None:
        lab = self.lab_app.lab
        if text is not None and lab is not None:
            found = files.parameter_values(text, parameters_of(typed, lab))
            self.values |= found
            self._start(typed, found)

    def _start(self, typed: str, parameters: Mapping[str, Value]) -> None:
        lab = self.lab_app.lab
        if lab is None:
            return
        self._stop()
        self._row = None
        self._seen = self._stand()
        self.editor.clear_error()
        self.run_ = self._wanted = Run(lab, self.lab_app.current, typed, self.limit, parameters)
        self._working = [*(run for run in self._working if not run.ended.is_set()), self.run_]
        self.view.running(0, False)
        self._work(self.run_)

    def _stop(self) -> None:
        """Stop whatever is running."""
        for run in self._working:
            if not run.ended.is_set():
                run.cancel()

    def on_unmount(self) -> None:
        self._stop()

    @work(thread=True, group="query-run")
    def _work(self, run: Run) -> None:
        try:
            answer = run.answer()
            self.post_message(Answered(run, answer))
            if answer.cut:
                self.post_message(Counted(run, run.count()))
        except Exception as error:  # noqa: BLE001 - said in place of an answer
            self.post_message(Failed(run, Problem.of(error, run.typed)))
        finally:
            run.ended.set()

    @on(Answered)
    def _answered(self, event: Answered) -> None:
        if event.run is not self.run_:
            return
        self.run_, self._ended = None, time.monotonic()
        if event.run.cancelled:
            self._cancelled()
            return
        again = self._answered_text == event.run.typed
        self.last, self._answered_text = event.run, event.run.typed
        self.view.show_answer(event.answer, event.run.limit < ALL_ROWS, again)
        self._go_to_row()
        self._link(event.answer.frame, event.run.typed)
        if not again:
            self.walk.reset(history.add(event.run.lab, event.run.typed))

    def _link(self, frame: pl.DataFrame, typed: str) -> None:
        """Draw the answer beside it."""
        lab, current = self.lab_app.lab, self.lab_app.current or ""
        if lab is None or not frame.height:
            self.chart.follow(None)
            return

        def rows() -> Source:
            folder = lab.experiment(current) if current in lab.experiments() else None
            return of_answer(frame, spec_of(folder), current)

        self.chart.follow(Subject(" ".join(typed.split()), rows))

    def _cancelled(self) -> None:
        self._wanted = self.last
        self.view.say("cancelled")

    @on(Failed)
    def _failed(self, event: Failed) -> None:
        if event.run is not self.run_:
            return
        self.run_, self._ended = None, time.monotonic()
        if event.run.cancelled:
            self._cancelled()
            return
        if self.last is None or self.last.typed != event.run.typed:
            self._follow(False)  # what is wrong stays to be read
        place = event.problem.place
        self.view.fail(event.problem.message, place)
        if place is not None and event.run.typed in (self.editor.text, self.editor.selected_text):
            row, column = self._from
            self.editor.mark_error(row + place[0], place[1] + (0 if place[0] else column))

    @on(Counted)
    def _counted(self, event: Counted) -> None:
        if event.run is self.last and event.total is not None:
            self.view.counted(event.total)

    def action_cancel(self) -> None:
        if self.run_ is None or self.run_.cancelled:
            raise SkipAction
        self._follow(False)
        self.run_.cancel()

    def action_all_rows(self) -> None:
        self.limit = ROWS if self.limit == ALL_ROWS else ALL_ROWS
        self.lab_app.tell(f"up to {self.limit:,} rows are shown")
        if self.last is not None:
            self._start(self.last.typed, self.last.parameters)

    def action_auto(self) -> None:
        self._follow(not self.auto)
        if self.auto and self.last is None:
            self.action_run()

    def _follow(self, auto: bool) -> None:
        self.auto = auto
        self.box.set_subtitle("follows the run" if auto else "")

    # --- History and saved queries

    def action_step(self, by: int) -> None:
        found = self.walk.step(by, self.editor.text)
        if found is not None:
            self.editor.set_text(found)

    def action_history(self) -> None:
        items = [Item(sql, " ".join(sql.split())) for sql in reversed(self.walk.entries)]
        self.app.push_screen(ChoiceScreen("Queries of this lab", items, empty="no queries yet"), self._taken)

    def action_saved(self) -> None:
        lab = self.lab_app.lab
        found = saved_queries.saved(lab) if lab is not None else {}
        items = [Item(sql.rstrip(), f"@{name}", " ".join(sql.split())) for name, sql in found.items()]
        empty = f"none yet: {self.lab_app.key('query.save')} saves one"
        self.app.push_screen(ChoiceScreen("Saved queries", items, empty=empty), self._taken)

    def _taken(self, sql: str | None) -> None:
        if sql is not None:
            self.editor.set_text(sql)
            self.editor.focus()

    def action_new(self) -> None:
        editor = self.editor
        editor.replace("", editor.document.start, editor.document.end)
        editor.focus()

    def action_save(self) -> None:
        lab = self.lab_app.lab
        if lab is None or not self.editor.text.strip():
            self.view.fail("there is no query to save")
            return
        check = files.name_verdict(saved_queries.saved(lab))
        self.app.push_screen(PromptScreen("Save the query as", "", check), self._save)

    def _save(self, name: str | None) -> None:
        lab = self.lab_app.lab
        if name is not None and lab is not None:
            self._save_as(lab, name.strip(), self.editor.text)

    @work(group="query-save")
    async def _save_as(self, lab: Lab, name: str, sql: str) -> None:
        self.lab_app.tell_away()
        try:
            with promised():
                path = await asyncio.to_thread(saved_queries.save, lab, name, sql)
        except (QueryError, LabError, OSError) as error:
            self.view.fail(str(error))
            return
        self.lab_app.tell(f"saved as {mirrors.as_there(str(path))}")

    # --- What leaves the pane

    def action_chart(self) -> None:
        if self._some_answer():
            self.lab_app.open_chart(self.view.answer.frame, " ".join(self.last.typed.split()) if self.last else "")

    def action_export(self) -> None:
        if self._some_answer():
            answer = self.view.answer
            about = f"{answer.frame.height:,} rows" if not answer.cut else "all rows, not only the ones shown"
            prompt = PromptScreen("Export to a file", "result.csv", exporting.export_verdict, about)
            self.app.push_screen(prompt, self._export)

    def _export(self, text: str | None) -> None:
        if text is not None and self.last is not None:
            self._write(self.last, text)

    @work(thread=True, group="query-export")
    def _write(self, run: Run, text: str) -> None:
        frame = self.view.answer.frame
        try:
            with promised():
                if self.view.answer.cut:
                    frame = Run(run.lab, run.current, run.typed, 0, run.parameters).answer().frame
                path = exporting.export(frame, text)
            self.post_message(Exported(f"{frame.height:,} rows in {path}"))
        except Exception as error:  # noqa: BLE001 - said in place of a file
            self.post_message(Exported(Problem.of(error).message, failed=True))

    @on(Exported)
    def _exported(self, event: Exported) -> None:
        self.lab_app.tell(event.text, "error" if event.failed else "information")

    def action_copy_table(self) -> None:
        if self._some_answer():
            self.view.copy("tsv")

    def action_copy_markdown(self) -> None:
        if self._some_answer():
            self.view.copy("markdown")

    def _some_answer(self) -> bool:
        if self.last is None:
            self.lab_app.tell(f"there is no answer yet: {self.lab_app.key('query.run')} runs the query", "warning")
        return self.last is not None

    @on(FrameTable.RowSelected)
    def _row_selected(self, event: FrameTable.RowSelected) -> None:
        event.stop()
        task = event.row.get("task_id")
        lab = self.lab_app.lab
        if lab is None or self.last is None or not isinstance(task, int):
            return
        owners = [self.schema.owners.get(name, "") for name in tables_in(self.last.typed, self.schema.catalog)]
        experiment = next((name for name in owners if name), self.lab_app.current)
        if experiment is not None:
            self.lab_app.open_task(experiment, task)

    # --- How it looks

    def action_edit(self) -> None:
        self.editor.focus()

    def action_complete(self) -> None:
        self.editor.focus()
        self.editor.completer.complete()

    def action_schema(self) -> None:
        self._asked = not self.tables.display
        self._reflow()
        self.call_after_refresh((self.schema if self._asked else self.editor).focus)

    def on_resize(self, event: events.Resize) -> None:
        self._reflow()

    def _reflow(self) -> None:
        there = self._asked if self._asked is not None else self.app.size.width >= NARROW
        self.query_one(PanelRow).set_present("tables", there)
