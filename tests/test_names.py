"""Names of parameters, metrics and experiments collide with nothing: not with facts, not with each other, not with
columns that a table, a chart or a pane has of its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.conftest import wait_until
from tests.workbench import Result, Workbench
from tui_lab.experiment.facts import FACTS
from tui_lab.results.statistics.frame import COMPARISON, SUMMARY
from tui_lab.store.naming import column_names, parameter_columns
from tui_lab.tui.app.app import LabApp

SQL = ("select", "from", "order", "group", "table", "all", "left", "right", "key", "value", "results", "nodes")
OWN = ("setting", "place", "tasks", "step", "row", "code", "index", "x", "y", "z", "hue", "style", "label", "count")
PREFIXED = ("in_x", "out_x", "in_n", "out_n", "in_state", "out_state", "in_", "out_", "c0", "a.b", "a-b", "_")
NAMES = (*FACTS, *SUMMARY, *COMPARISON, *SQL, *OWN, *PREFIXED)
UNIQUE = list({name.lower(): name for name in NAMES}.values())
some = st.lists(st.sampled_from(UNIQUE) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,3}", fullmatch=True), max_size=12)


@given(some, some)
def test_columns_are_told_apart_whatever_their_names(parameters: list[str], metrics: list[str]) -> None:
    parameters, metrics = list(dict.fromkeys(parameters)), list(dict.fromkeys(metrics))
    asked = parameter_columns(parameters, FACTS)
    facts = [name for name in FACTS if name != "seed" or "seed" not in asked.values()]
    renamed, found = column_names(list(asked.values()), metrics, facts)
    columns = [*(renamed.get(name, name) for name in asked.values()), *found.values(), *facts]
    assert len({name.lower() for name in columns}) == len(columns)
    assert list(asked) == parameters and list(found) == metrics
    for name in parameters:  # a name that is nobody else's stays
        others = [*metrics, *FACTS, *(one for one in parameters if one != name)]
        if name.lower() not in {one.lower() for one in others}:
            assert renamed.get(asked[name], asked[name]) == name


def test_the_names_that_the_design_promises() -> None:
    assert parameter_columns(["lr", "node", "seed"], FACTS) == {"lr": "lr", "node": "in_node", "seed": "seed"}
    assert parameter_columns(["node", "in_node", "Seed"], FACTS) == {
        "node": "in_node_", "in_node": "in_node", "Seed": "in_Seed"}  # fmt: skip
    assert column_names(["x"], ["X", "n"], FACTS) == ({"x": "in_x"}, {"X": "out_X", "n": "n"})
    assert column_names(["seed"], ["seed"], [name for name in FACTS if name != "seed"]) == ({}, {"seed": "out_seed"})


def file(name: str, parameters: list[str], metrics: list[str], vary: list[str]) -> str:
    report = f'{{\\"step\\": 1, \\"{metrics[0]}\\": $TUI_LAB_TASK_ID}}'
    return yaml.safe_dump(
        {
            "name": name,
            "command": f'echo "found $TUI_LAB_TASK_ID.5"; echo "{report}" >>"$TUI_LAB_METRICS"; : {{params}}',
            "parameters": {one: ["a", "b"] if one in vary else [1] for one in parameters},
            "repeat": 2,
            "metrics": {one: {"pattern": "found (@float@)", "goal": "max"} for one in metrics},
            "rows": {"pattern": "found (?P<count>@float@)"},
        },
        sort_keys=False,
    )


EXPERIMENTS = {
    "parameters": (UNIQUE, ["acc"], ["n", "step"]),
    "metrics": (["lr"], UNIQUE, ["lr"]),
    "select": (UNIQUE, UNIQUE, ["state", "in_x"]),
    "count": (["seed", "lr"], ["seed", "n"], ["seed", "lr"]),
}


@pytest.fixture(scope="module")
def lab(shared_workbench: Workbench) -> Workbench:
    files = []
    for name, about in EXPERIMENTS.items():
        files.append(shared_workbench.write(f"{name}.yaml", file(name, *about)))
    shared_workbench.process("--run", *files, "--node", "localhost", 2)
    return shared_workbench


def call(lab: Workbench, *words: Any, code: int | None = 0) -> Result:
    return Workbench(lab.folder)(*map(str, words), code=code)


def table(lab: Workbench, *words: Any) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(call(lab, *words, "--format", "csv").out), infer_schema_length=None)


@pytest.mark.parametrize(
    "name", ["parameters", *(pytest.param(name, marks=pytest.mark.long) for name in ("metrics", "select", "count"))]
)
def test_every_command_tells_them_apart(lab: Workbench, name: str) -> None:
    parameters, metrics, vary = EXPERIMENTS[name]
    tasks = 2 * 2 ** len(vary)
    for which, rows in (("", tasks), ("_tasks", tasks), ("_steps", tasks), ("_rows", tasks)):
        found = table(lab, "query", f'SELECT * FROM "{name}{which}"')
        assert found.height == rows
        assert len({column.lower() for column in found.columns}) == found.width
        assert found.width >= len(parameters) + (len(metrics) if which in ("", "_tasks") else 1)
    for more in ((), ("--all",), ("--steps",), ("--rows",), ("--settings",)) if name != "metrics" else ((),):
        table(lab, "export", name, *more)
    settings = table(lab, "stats", name)
    assert set(settings["metric"]) == set(metrics)
    for kind in ("lines", "categories", "hist", "box") if name == "parameters" else ("lines",):
        assert call(lab, "draw", kind, name, code=None).code in (0, 2)
    if name == "parameters":
        for kind, hue in (("hist", "count"), ("hist", "left"), ("box", "outliers"), ("categories", "in_n")):
            columns = ("--x-column", "acc") if kind == "hist" else ("--x-column", "n", "--y-column", "acc")
            call(lab, "draw", kind, name, "--table", *columns, "--hue-column", hue)
    call(lab, "--run", lab.folder / f"{name}.yaml", "--only", "task_id = 0")
    call(lab, "show", f"{name}/0")


def test_a_parameter_named_seed_makes_repeats_beside_a_metric_of_that_name(lab: Workbench) -> None:
    settings = table(lab, "stats", "count")
    assert settings.filter(pl.col("metric") == "seed")["n"].to_list() == [4, 4]


@pytest.mark.slow
async def test_every_pane_shows_them(lab: Workbench, request: pytest.FixtureRequest) -> None:
    for name in EXPERIMENTS if request.config.getoption("--long") else ("parameters", "metrics"):
        app = LabApp(lab.lab_path)
        app.saved_state.put_of_lab("experiment", name)
        async with app.run_test(size=(120, 40)) as pilot:
            await wait_until(pilot, lambda: app.current == name)
            pane: Any = await wait_until(pilot, lambda: app.pane)
            await wait_until(pilot, lambda: pane.table.frame.height)
            assert not pane.model.source.trouble
            await pilot.press("v", "down", "down", "enter", "escape")
            checks: tuple[tuple[str, Callable[[Any], bool]], ...] = (
                ("4", lambda pane: pane._view is not None and pane._view.report is not None),
                ("5", lambda pane: pane.schema.catalog is not None),
                ("6", lambda pane: True),
                ("7", lambda pane: True),
            )
            for key, ready in checks:
                await pilot.press("escape", f"alt+{key}")
                await wait_until(pilot, lambda: app.pane is not None and app.pane.has_focus_within)
                await wait_until(pilot, lambda: ready(app.pane))
            await pilot.press("alt+4", "enter")
            await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "tasks")
            await wait_until(pilot, lambda: 0 < pane.table.frame.height < pane.table.total)
            assert [one.message for one in app._notifications if one.severity == "error"] == []
