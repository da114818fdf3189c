"""Numbers of any size stay what they are: in the program, the table, SQL and exports; two settings never merge."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.workbench import Workbench
from tui_lab.cli.options import print_json

WHOLE = [2**53, 2**53 + 1, 2**63, 2**64, 2**64 + 1, 10**30]
SEEDS = [2**63, 2**63 + 1]
HUGE = [10**40, 10**40 + 1]
MIXED = [2**53 + 1, 2.0**53, 0.5]


@pytest.mark.slow
def test_numbers_stay_what_they_are(workbench: Workbench) -> None:
    workbench.run_text(
        f"command: echo {{x}} {{h}} {{m}} {{seed}}\n"
        f"parameters: {{x: {WHOLE}, h: {HUGE}, m: {MIXED}, seed: {SEEDS}}}\n"
        "where: x > 9007199254740992\n"
        "metrics: {out: '^(@int@) '}\n"
    )
    expected = {(str(x), str(h), str(m), str(seed)) for x in WHOLE[1:] for h in HUGE for m in MIXED for seed in SEEDS}
    outputs = {
        tuple((workbench.experiment().task_folder(task["task_id"]) / "stdout").read_text().split())
        for task in workbench.tasks()
    }
    assert outputs == expected
    answer = workbench("query", "--json", "SELECT x::VARCHAR x, h, m, seed::VARCHAR s, out::VARCHAR o FROM e")
    rows = json.loads(answer.out)["rows"]
    assert {(row["x"], row["h"], row["m"], row["s"]) for row in rows} == expected
    assert all(row["o"] == row["x"] for row in rows)
    exported = workbench.folder / "e.csv"
    workbench.process("export", "e", "-o", exported)
    lines = [line.split(",")[:4] for line in exported.read_text().splitlines()[1:]]
    assert {tuple(line) for line in lines} == expected
    again = workbench("--run", workbench.folder / "experiment.yaml", code=None)
    assert "0 tasks to run" in again.err


def test_json_of_large_numbers_has_null_for_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    about = Spare(2**80, float("nan"))
    print_json({"spare": about, "small": np.int64(3), "path": Path("a"), "infinite": [float("inf")]})
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "spare": {"tasks": 2**80, "mean": None},
        "small": 3,
        "path": "a",
        "infinite": [None],
    }


class Spare(msgspec.Struct):
    """A message with a number beyond 64 bits."""

    tasks: int
    mean: float
