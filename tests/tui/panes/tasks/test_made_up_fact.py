"""A fact that is registered, and named nowhere else, is wherever facts are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.made_up import fact
from tests.test_docs import generator
from tests.tui.panes.tasks.test_pane import screen
from tui_lab.cli.main import main
from tui_lab.client.formatting import span
from tui_lab.store.lab import Lab
from tui_lab.tui.panes.tasks.choose_columns import ChooseColumns


@pytest.fixture(autouse=True)
def made_up() -> Iterator[None]:
    with fact.registered():
        yield


@pytest.fixture
def idle(small_lab: Path) -> dict[int, float]:
    """Seconds that each task was idle, from the facts that everyone knows."""
    table = Lab.open(small_lab).experiment("small").tasks()
    assert table.columns[-1] == fact.NAME
    rows = table.select("task_id", pl.col("duration") - pl.col("cpu_time")).rows()
    assert all(seconds is not None for _, seconds in rows)
    return dict(rows)


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_in_sql_and_statistics(small_lab: Path, idle: dict[int, float], capsys: pytest.CaptureFixture[str]) -> None:
    sql = f"SELECT task_id, {fact.NAME} FROM small_tasks"
    answer = json.loads(said(capsys, "query", sql, "--lab", small_lab, "--json"))
    assert {row["task_id"]: row[fact.NAME] for row in answer["rows"]} == pytest.approx(idle)
    slow = json.loads(said(capsys, "query", "FROM slowest()", "--lab", small_lab, "--json"))
    assert all(row[fact.NAME] == pytest.approx(idle[row["task_id"]]) for row in slow["rows"])
    assert fact.NAME in said(capsys, "stats", "--lab", small_lab, "--metric", fact.NAME)


def test_in_show_and_exports(
    small_lab: Path, idle: dict[int, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{span(idle[0])} idle" in said(capsys, "show", "0", "--lab", small_lab)
    assert json.loads(said(capsys, "show", "0", "--lab", small_lab, "--json"))[fact.NAME] == pytest.approx(idle[0])
    file = tmp_path / "small.parquet"
    said(capsys, "export", "small", "--lab", small_lab, "-o", file)
    table = pl.read_parquet(file)
    assert dict(table.select("task_id", fact.NAME).rows()) == pytest.approx({t: idle[t] for t in table["task_id"]})
    about = json.loads(pl.read_parquet_metadata(file)["tui_lab"])["columns"][fact.NAME]
    assert about == {"kind": "fact", "unit": "s"}


def test_a_condition_and_a_metric_may_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(
        f"command: echo\nmetrics: {{share: {{sql: '{fact.NAME} / duration'}}}}\n"
        f"repeat: {{min: 2, max: 4, until: ci95({fact.NAME}) < 1}}\n"
    )
    said(capsys, "check", file)


async def test_on_the_screen(small_lab: Path, idle: dict[int, float]) -> None:
    async with screen(small_lab) as s:
        assert fact.NAME not in s.titles
        await s.press("c")
        await s.until(lambda: isinstance(s.app.screen, ChooseColumns))
        await s.press("a", "enter")
        await s.until(lambda: fact.NAME in s.titles)
        row = s.pane.table.row(0)
        assert row is not None
        assert row[fact.NAME] == pytest.approx(idle[row["task_id"]])


def test_in_the_documentation() -> None:
    assert f"| `{fact.NAME}` | float | seconds | time without a processor |" in generator().guide()
