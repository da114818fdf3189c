"""Numbers of any size stay what they are: in the program, the table, SQL and exports; two settings never merge."""

from __future__ import annotations

import json

from tests.conftest import Workshop

WHOLE = [2**53, 2**53 + 1, 2**63, 2**64, 2**64 + 1, 10**30]
SEEDS = [2**63, 2**63 + 1]
HUGE = [10**40, 10**40 + 1]
MIXED = [2**53 + 1, 2.0**53, 0.5]


def test_numbers_stay_what_they_are(workshop: Workshop) -> None:
    ran = workshop.run(
        f"command: echo {{x}} {{h}} {{m}} {{seed}}\n"
        f"parameters: {{x: {WHOLE}, h: {HUGE}, m: {MIXED}, seed: {SEEDS}}}\n"
        "where: x > 9007199254740992\n"
        "metrics: {out: '^(@int@) '}\n"
    )
    assert ran.returncode == 0, ran.stderr
    expected = {(str(x), str(h), str(m), str(seed)) for x in WHOLE[1:] for h in HUGE for m in MIXED for seed in SEEDS}
    outputs = {
        tuple((workshop.experiment().task_folder(task["task_id"]) / "stdout").read_text().split())
        for task in workshop.tasks()
    }
    assert outputs == expected
    answer = workshop.call("query", "--json", "SELECT x::VARCHAR x, h, m, seed::VARCHAR s, out::VARCHAR o FROM e")
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)["rows"]
    assert {(row["x"], row["h"], row["m"], row["s"]) for row in rows} == expected
    assert all(row["o"] == row["x"] for row in rows)
    exported = workshop.folder / "e.csv"
    assert workshop.call("export", "e", "-o", exported).returncode == 0
    lines = [line.split(",")[:4] for line in exported.read_text().splitlines()[1:]]
    assert {tuple(line) for line in lines} == expected
    again = workshop.call("--run", workshop.folder / "experiment.yaml")
    assert "0 tasks to run" in again.stderr
