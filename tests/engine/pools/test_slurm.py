"""Experiments whose tasks run in allocations of Slurm, from the command line."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.engine.pools.conftest import nothing_is_left
from tests.services import slurm as service
from tests.services.slurm import PrivateSlurm
from tests.workbench import Workbench, until

pytestmark = service.MARKS


@pytest.mark.smoke("slurm")
def test_an_experiment_of_fifty_tasks(bench: Workbench, slurm: PrivateSlurm) -> None:
    bench.write(
        "e.yaml",
        """\
        name: e
        command: 'echo y={p} job=$SLURM_JOB_ID on=$SLURMD_NODENAME; test {p} != 7'
        parameters: {p: {range: [0, 50]}}
        metrics: {y: {pattern: 'y=(\\d+)'}}
        """,
    )
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", code=1)
    nothing_is_left(slurm)
    rows = bench.tasks()
    assert Counter(row["state"] for row in rows) == {"done": 49, "failed": 1}
    assert sorted(int(row["y"]) for row in bench.table("SELECT y FROM e")) == [y for y in range(50) if y != 7]
    jobs = {row["node"].removeprefix("big.") for row in rows}
    assert 1 <= len(jobs) <= 2 and all(job.isdigit() for job in jobs)
    assert all(bench.output(task).split()[1] in {f"job={job}" for job in jobs} for task in range(50))


def test_scancel_from_outside_costs_nothing(bench: Workbench, slurm: PrivateSlurm) -> None:
    wait = "until [ -e go ]; do sleep 0.05; done"
    bench.write("e.yaml", f"name: e\ncommand: '{wait}'\nparameters: {{p: [1, 2, 3, 4]}}\n")
    run = bench.start("--run", "e.yaml", "--cluster", "c.yaml")
    until(lambda: len(bench.events("started")) == 4, 60)
    slurm.run("scancel", bench.events("assigned")[0]["node"].removeprefix("big."))
    until(lambda: len(bench.events("started")) == 6, 60)
    (bench.folder / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 0
    lost = [event for event in bench.events("finished") if event["state"] == "lost"]
    assert len(lost) == 2 and {(event["reason"], event["again"]) for event in lost} == {("cancelled", 0)}
    nothing_is_left(slurm)


def test_another_engine_finds_the_jobs_of_one_that_was_killed(bench: Workbench, slurm: PrivateSlurm) -> None:
    wait = "until [ -e go ]; do sleep 0.05; done"
    bench.write("e.yaml", f"name: e\ncommand: '{wait}'\nparameters: {{p: [1, 2, 3, 4]}}\n")
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", "--detach")
    until(lambda: len(bench.events("started")) == 4, 60)
    bench.kill_engine()
    until(lambda: bench.engine_pid() is None)
    before = slurm.queue()
    bench.process("resume", "e", "--detach")
    (bench.folder / "go").touch()
    until(lambda: bench.events("ended"), 60)
    assert len(before) == 2 and max(event["attempt"] for event in bench.events("finished")) == 1
    nothing_is_left(slurm)
