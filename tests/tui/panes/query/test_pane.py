"""The Query pane, driven as a person does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.store.lab import Lab
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.panes.query import history
from tui_lab.tui.panes.query.pane import QueryPane
from tui_lab.tui.widgets.choice import ChoiceScreen
from tui_lab.tui.widgets.prompt import PromptScreen

SLOW = "SELECT count(*) FROM range(1000000000000) t(a) WHERE a % 7 = 3 AND sqrt(a) > 2"


@asynccontextmanager
async def opened(lab: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[Any], QueryPane]]:
    app = LabApp(lab)
    async with app.run_test(size=size) as pilot:
        app.show_pane("query")
        pane = await wait_until(pilot, lambda: app.query_one(QueryPane))
        await wait_until(pilot, lambda: pane.schema.catalog.tables or (not lab.exists() and app.snapshot.taken))
        yield pilot, pane


async def ask(pilot: Pilot[Any], pane: QueryPane, sql: str, key: str = "f5") -> None:
    """Type a query and run it to its end."""
    pane.editor.set_text(sql)
    await pilot.press(key)
    await ended(pilot, pane)


async def ended(pilot: Pilot[Any], pane: QueryPane) -> None:
    await wait_until(pilot, lambda: pane.run_ is None and not pane.view.said.startswith("running"))


@pytest.mark.slow
async def test_a_query_is_answered(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        pane.editor.focus()
        for key in ("f5", "ctrl+j", "ctrl+enter"):
            await ask(pilot, pane, f"SELECT x, kind, score AS '{key}' FROM results ORDER BY x, kind, score", key)
            assert pane.view.table.frame.columns == ["x", "kind", key]
        assert pane.view.said.startswith("6 rows, 3 columns")
        assert "results = small" in str(pane.box.border_title)


async def test_an_error_is_shown_at_its_place(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        await ask(pilot, pane, "SELECT x,\n  scroe FROM small")
        assert pane.view.said == '2:3: there is no column "scroe"; did you mean "score"?'
        assert pane.editor.error == (1, 2)
        assert pane.editor.cursor_location == (1, 2)
        pane.editor.focus()
        await pilot.press("x")
        assert pane.editor.error is None
        await pilot.press("alt+n", *"SELECT")  # another one
        assert pane.editor.text == "SELECT" and pane.editor.error is None
        await pilot.press("escape", "n", "ctrl+z")
        assert pane.editor.text == "SELECT"


async def test_what_was_asked_before_an_error_stays(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        await ask(pilot, pane, "SELECT 1 AS one")
        await ask(pilot, pane, "SELEC 2")
        assert pane.view.table.frame.to_dicts() == [{"one": 1}]
        assert "syntax error" in pane.view.said


async def test_only_the_selected_text_runs(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        pane.editor.set_text("SELECT 1 AS a\nSELECT 2 AS b")
        pane.editor.focus()
        pane.editor.move_cursor((1, 0))
        await pilot.press("shift+end", "f5")
        await ended(pilot, pane)
        assert pane.view.table.frame.to_dicts() == [{"b": 2}]
        pane.editor.set_text("SELECT 1; SELECT nothing")
        pane.editor.move_cursor((0, 10))
        await pilot.press("shift+end", "f5")
        await ended(pilot, pane)
        assert pane.view.said.startswith("1:8: ") and pane.editor.error == (0, 17)


async def test_completion_while_typing(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        await wait_until(pilot, lambda: pane.schema.catalog.tables["small"])
        editor = pane.editor
        editor.set_text("")
        editor.focus()
        await pilot.press(*"FROM", "space", *"sma")
        await wait_until(pilot, lambda: editor.completer.popup.is_open)
        assert editor.completer.popup.completion.candidates[0].text == "small"
        await pilot.press("enter")  # a list that came unasked does not take enter
        assert editor.text == "FROM sma\n"
        await pilot.press("backspace", "tab")
        await wait_until(pilot, lambda: editor.completer.popup.is_open)
        await pilot.press("down", "up", "enter")
        assert editor.text == "FROM small"
        await pilot.press("space", *"where", "space", *"sco", "tab")
        await wait_until(pilot, lambda: editor.text == "FROM small where score")
        await pilot.press("space", "ctrl+@")
        await wait_until(pilot, lambda: editor.completer.popup.is_open)
        await pilot.press("escape")
        assert editor.has_focus and not editor.completer.popup.is_open
        await pilot.press("escape")
        await wait_until(pilot, lambda: pane.view.table.has_focus)


async def test_the_tables_beside_the_query(small_lab: Path) -> None:
    async with opened(small_lab, (80, 24)) as (pilot, pane):
        assert not pane.tables.display
        await pilot.press("ctrl+b")
        await wait_until(pilot, lambda: pane.schema.has_focus and pane.tables.display)
        await wait_until(pilot, lambda: pane.schema.root.children[0].children)
        assert str(pane.schema.root.children[0].children[0].label).startswith("x int")
        pane.editor.set_text("SELECT ")
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: pane.editor.text == "SELECT x")
        await pilot.press("ctrl+b")
        await wait_until(pilot, lambda: not pane.tables.display)


async def test_a_cut_answer_says_how_many_rows_there_are(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        await ask(pilot, pane, "SELECT * FROM range(12345)")
        await wait_until(pilot, lambda: pane.view.said.startswith("10,000 of 12,345 rows"))
        pane.view.table.focus()
        await pilot.press("L")
        await wait_until(pilot, lambda: pane.view.said.startswith("12,345 rows"))
        assert pane.view.table.frame.height == 12345


async def test_a_query_is_cancelled(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        pane.editor.set_text(SLOW)
        pane.editor.focus()
        for key in ("escape", "ctrl+c"):
            await pilot.press("f5")
            await wait_until(pilot, lambda: pane.run_ is not None and pane.run_.seconds > 0.3)
            assert pane.view.said.startswith("running")
            await pilot.press(key)
            await wait_until(pilot, lambda: pane.view.said == "cancelled")
        await ask(pilot, pane, "SELECT 1 AS one")
        assert pane.view.table.frame.to_dicts() == [{"one": 1}]


async def test_another_query_takes_the_place_of_a_running_one(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        pane.editor.set_text(SLOW)
        await pilot.press("f5")
        await wait_until(pilot, lambda: pane.run_ is not None)
        first = pane.run_
        await ask(pilot, pane, "SELECT 2 AS two")
        assert pane.view.table.frame.to_dicts() == [{"two": 2}]
        assert first is not None and first.cancelled


@pytest.mark.slow
async def test_history(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        for number in (1, 2):
            await ask(pilot, pane, f"SELECT {number}")
        pane.editor.set_text("SELECT draft")
        pane.editor.focus()
        seen = []
        for key in ("ctrl+up", "ctrl+up", "ctrl+up", "ctrl+down", "ctrl+down"):
            await pilot.press(key)
            seen.append(pane.editor.text)
        assert seen == ["SELECT 2", "SELECT 1", "SELECT 1", "SELECT 2", "SELECT draft"]
        assert history.read(Lab.open(small_lab)) == ["SELECT 1", "SELECT 2"]
    async with opened(small_lab) as (pilot, pane):
        await wait_until(pilot, lambda: pane.editor.text == "SELECT 2")
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, ChoiceScreen))
        await pilot.press("1", "enter")
        await wait_until(pilot, lambda: pane.editor.text == "SELECT 1")


def test_a_history_that_is_damaged_or_cannot_be_written(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab.open(small_lab)
    file = history.path(lab)
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{"sql": "SELECT 1"}\n\xff{torn\n[1]\n{"no": 1}\n')
    assert history.read(lab) == ["SELECT 1"]
    assert history.add(lab, "SELECT 2") == ["SELECT 1", "SELECT 2"]
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    assert history.add(lab, "SELECT 3") == ["SELECT 3"]


async def test_saved_queries(own_lab: Workbench) -> None:
    async with opened(own_lab.lab_path) as (pilot, pane):
        pane.editor.set_text("SELECT count(*) AS n FROM small_tasks")
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
        await pilot.press(*"no", "space", "t", "enter")
        assert isinstance(pilot.app.screen, PromptScreen)  # a blank is no part of a name
        pilot.app.screen.query_one(Input).value = "all-tasks"
        await pilot.press("enter")
        await wait_until(pilot, lambda: (own_lab.lab_path / "queries" / "all-tasks.sql").exists())
        await ask(pilot, pane, "@all-tasks")
        assert pane.view.table.frame.to_dicts() == [{"n": 8}]
        await pilot.press("ctrl+o")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, ChoiceScreen))
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.editor.text.startswith("SELECT count"))
        await ask(pilot, pane, "@unknown")
        assert 'there is no saved query "unknown"' in pane.view.said


@pytest.mark.slow
async def test_words_of_the_command_line(small_lab: Path) -> None:
    words = {"best score": "mean", "best('score')": "mean", "failures": "reason", ".schema small": "unit"}
    async with opened(small_lab) as (pilot, pane):
        for typed, column in words.items():
            await ask(pilot, pane, typed)
            assert column in pane.view.table.frame.columns, pane.view.said


async def test_a_query_with_parameters_asks_for_their_values(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        pane.editor.set_text("SELECT $a + $b AS c, '$no' AS text")
        await pilot.press("f5")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, PromptScreen)
        pilot.app.screen.query_one(Input).value = "a=1 b=2.5"
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.view.table.frame.to_dicts() == [{"c": 3.5, "text": "$no"}])


async def test_export_writes_all_rows(small_lab: Path, tmp_path: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        pane.limit = 10
        await ask(pilot, pane, "SELECT range AS i FROM range(25)")
        pane.view.table.focus()
        for name in ("all.csv", "all.parquet", "all.json", "all.md"):
            await pilot.press("x")
            await wait_until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
            pilot.app.screen.query_one(Input).value = str(tmp_path / name)
            await pilot.press("enter")
            await wait_until(pilot, (tmp_path / name).exists)
    assert pl.read_csv(tmp_path / "all.csv").height == 25
    assert pl.read_parquet(tmp_path / "all.parquet").height == 25
    assert len(json.loads((tmp_path / "all.json").read_text())) == 25
    assert (tmp_path / "all.md").read_text().startswith("| i |\n| ---: |\n| 0 |")


async def test_an_export_that_is_impossible_is_refused_before_it_is_tried(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        await ask(pilot, pane, "SELECT 1 AS one")
        pane.view.table.focus()
        await pilot.press("x")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
        for path in ("/nowhere/a.csv", "result.xls", "", "/tmp"):
            pilot.app.screen.query_one(Input).value = path
            await pilot.press("enter")
            assert isinstance(pilot.app.screen, PromptScreen)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not isinstance(pilot.app.screen, PromptScreen))


async def test_copy_sort_chart_and_open_a_task(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(small_lab) as (pilot, pane):
        app = pane.lab_app
        copied: list[str] = []
        told: list[Any] = []
        monkeypatch.setattr(app, "copy", lambda text, what: copied.append(text))
        monkeypatch.setattr(app, "open_task", lambda experiment, task: told.append((experiment, task)))
        monkeypatch.setattr(app, "open_chart", lambda frame, title, request=None: told.append(frame.columns))
        await ask(pilot, pane, "SELECT task_id, reason FROM small_tasks ORDER BY task_id LIMIT 2")
        pane.view.table.focus()
        await pilot.press("ctrl+y", "M", "s", "s")
        await wait_until(pilot, lambda: pane.view.table.frame["task_id"].to_list() == [1, 0])
        await pilot.press("home", "enter", "p")
        await wait_until(pilot, lambda: len(told) == 2)
        assert copied[0] == "task_id\treason\n0\t\n1\t\n"
        assert copied[1].startswith("| task_id | reason |\n")
        assert told == [("small", 1), ["task_id", "reason"]]


async def test_it_follows_a_run(own_lab: Workbench) -> None:
    async with opened(own_lab.lab_path) as (pilot, pane):
        await ask(pilot, pane, "SELECT count(*) AS n FROM small_tasks")
        pane.view.table.focus()
        await pilot.press("R")
        words = ("--run", own_lab.folder / "small.yaml", "x=7", "--replace", "--node", "localhost", 2)
        run = await asyncio.to_thread(own_lab.process, *words, code=1)
        assert "4 tasks to run" in run.err
        await wait_until(pilot, lambda: pane.view.table.frame["n"][0] == 12, 40)
        assert pane.walk.entries == ["SELECT count(*) AS n FROM small_tasks"]


async def test_without_a_lab_a_sentence_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "none") as (pilot, pane):
        await pilot.press("f5")
        assert "there is no lab" in pane.view.said
        await pilot.press("p", "x", "ctrl+y", "enter", "ctrl+r", "escape", "ctrl+s")
        assert pane.lab_app.is_running


async def test_the_order_that_a_person_asked_for_survives_a_refresh(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        sql = "SELECT task_id FROM small_tasks"
        await ask(pilot, pane, sql)
        pane.view.table.focus()
        await pilot.press("s", "s", "f5")
        await ended(pilot, pane)
        await wait_until(pilot, lambda: pane.view.table.frame["task_id"][0] == 7)


def test_the_catalog_is_read_as_far_as_somebody_looks(small_lab: Path) -> None:
    from tui_lab.tui.panes.query.schema import columns, tables

    lab = Lab.open(small_lab)
    assert list(tables(lab, "small"))[:4] == ["small", "small_tasks", "small_steps", "small_rows"]
    found = {column.name: column for column in columns(lab, "small", "small")}
    assert found["x"].kind == "parameter" and found["score"].kind == "metric" and found["x"].short_type == "int"


async def test_an_error_or_a_cancel_ends_following(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        await ask(pilot, pane, "SELECT 1 AS one")
        await pilot.press("alt+r")
        assert pane.auto
        await ask(pilot, pane, "SELECT nothing")
        assert not pane.auto and "there is no column" in pane.view.said


@pytest.mark.slow
async def test_another_experiment_asks_about_its_own_results(own_lab: Workbench) -> None:
    file = own_lab.write("other.yaml", "command: echo {x}\nparameters: {x: [7]}\n")
    own_lab("--run", file, "--node", "localhost", 1)
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.snapshot.experiments)
        app.current = "small"
        app.open_query("SELECT count(*) AS tasks FROM results")
        await wait_until(pilot, lambda: app.pane.view.table.frame.to_dict(as_series=False) == {"tasks": [6]})  # type: ignore[union-attr]
        app.current = "other"
        await wait_until(pilot, lambda: app.pane.view.table.frame.to_dict(as_series=False) == {"tasks": [1]})  # type: ignore[union-attr]
