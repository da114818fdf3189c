"""Needs on the command line: `retry needs.memory=16G` changes them, and editing them runs nothing again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.stand_in import standing_in
from tests.workbench import Workbench
from tui_lab.client.errors import UsageError
from tui_lab.client.retry import read_changes

FAILING = """
name: grid
command: exit {x}
parameters: {x: [0, 1, 2]}
needs: {cpus: 1}
limits: {license: 2}
"""


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ([], {}),
        (["timeout=2h"], {"timeout": 7200.0}),
        (["timeout=none"], {"timeout": None}),
        (["needs.memory=16G", "needs.gpus=0.5"], {"needs": {"memory": 16 << 30, "gpus": 0.5}}),
        (["needs.gpus=none", "needs.exclusive=true"], {"needs": {"gpus": 0, "exclusive": True}}),
        (["timeout=1m", "needs.license=2"], {"timeout": 60.0, "needs": {"license": 2}}),
    ],
)
def test_changes(words: list[str], changes: dict[str, Any]) -> None:
    assert read_changes(words) == changes


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("timeout=soon", "timeout=soon: write 30s, 1h30m, 2d, or a number of seconds, or none"),
        ("needs.memory=16", 'needs.memory=16: the memory "16" has no unit; write 500M, 4G or 1.5T'),
        ("needs.gpus=1.5", 'needs.gpus=1.5: "gpus" must be a whole number or a part of one GPU, not 1.5'),
        ("9s", "9s: a change is NAME=VALUE, as in timeout=2h or needs.memory=16G"),
        ("needs.cpus=", 'needs.cpus=: "cpus" must be a number, not ""'),
    ],
)
def test_what_can_not_be_read(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_changes([word])
    assert str(caught.value) == message


@pytest.mark.slow
def test_needs_are_asked_of_the_engine(workbench: Workbench) -> None:
    workbench.write("grid.yaml", FAILING)
    workbench.run("grid.yaml", code=1)
    with standing_in(workbench.lab_path, requeue={"submission": 1}) as engine:
        workbench("retry", "grid", "needs.memory=16G", "needs.license=2", "--detach")
        changes = {"needs": {"memory": 16 << 30, "license": 2}}
        assert engine.asked("requeue") == [{"experiment": "grid", "tasks": [[1, 2]], "changes": changes, "step": None}]
        assert 'grid has no need "memry"; did you mean "memory"?' in workbench("retry", "needs.memry=1", code=2).err
        told = workbench("retry", "needs.license=3", code=2).err
        assert "grid: a task needs 3 license, and the run has 2" in told
        assert len(engine.asked("requeue")) == 1


@pytest.mark.slow
def test_needs_are_no_part_of_a_task(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: echo {x}\nparameters: {x: [1, 2]}\n")
    workbench.run("grid.yaml")
    before = workbench.table("SELECT * FROM grid_tasks")
    text = "command: echo {x}\nparameters: {x: [1, 2]}\nneeds: {cpus: '{x}', a: 1}\nlimits: {a: 2}\nkeep: '*.csv'\n"
    workbench.write("grid.yaml", text)
    workbench.run("grid.yaml")
    assert workbench.table("SELECT * FROM grid_tasks") == before
    assert len(workbench("history", "grid", "--json").json()["submissions"]) == 2
