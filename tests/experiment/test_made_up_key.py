"""A key that nothing but its own two lines knows is read, checked, described and hinted at like all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from tests.made_up import key
from tests.workbench import Workbench
from tui_lab.experiment.load import load
from tui_lab.experiment.schema import json_schema

FILE = "command: echo {p}\nparameters: {p: [1, 2]}\n"


@pytest.fixture(autouse=True)
def made_up() -> Iterator[None]:
    with key.registered():
        yield


def test_it_is_read(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", FILE + "budget: 2.5\n")
    assert asdict(load(file))["budget"] == 2.5
    assert asdict(load(workbench.write("e.yaml", FILE)))["budget"] is None, "its default"
    workbench.write("e.yaml", FILE + "budget: 2.5\n")
    assert "no mistakes" in workbench("check", "e.yaml").out
    assert "would run 2 tasks" in workbench("plan", "e.yaml").out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("budget: -1", "e.yaml:3:9: a budget is above 0"),
        ("budget: much", 'e.yaml:3:9: "budget" must be a number, not text ("much")'),
        ("budgt: 1", 'e.yaml:3:1: there is no key "budgt"; did you mean "budget"?'),
        ("price: 1", 'e.yaml:3:1: there is no key "price"; did you mean "budget"?'),
    ],
)
def test_what_is_wrong_is_reported_at_its_place(workbench: Workbench, line: str, said: str) -> None:
    workbench.write("e.yaml", FILE + line + "\n")
    for command in ("check", "plan"):
        wrong = workbench(command, "e.yaml", code=2)
        assert (wrong.out + wrong.err).splitlines() == [said]


def test_it_is_in_the_schema_and_in_the_reference(workbench: Workbench) -> None:
    assert json_schema()["properties"]["budget"] == {
        "title": "budget",
        "description": "What all tasks together may cost.",
        "examples": [12.5],
        "type": "number",
        "exclusiveMinimum": 0,
    }
    lines = workbench("schema", "--reference").lines
    assert "| `budget` | `12.5` |  | What all tasks together may cost. |" in lines
