"""Experiments whose tasks run in allocations of Slurm, from the command line."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from pathlib import Path

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


def test_machines_of_several_jobs_of_an_array(bench: Workbench, slurm: PrivateSlurm) -> None:
    """One agent for each machine, which has the cards of its job alone."""
    keys = '{partition: main, nodes: 2, array: true, max: 2, gres: "gpu:1", every: 0.2, idle: 1, leave: 60}'
    bench.write("c.yaml", f"nodes: [{{name: big, slots: 1, slurm: {keys}}}]\n")
    step = "srun -n1 -N1 -w$SLURMD_NODENAME hostname"
    said = f"echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $SLURM_ARRAY_TASK_ID $({step})"
    wait = "touch begun{p}; until [ $(ls begun* | wc -l) = 4 ]; do sleep 0.05; done"  # all at once
    command = f"{wait}; {said}; env | grep -c ^SLURM_STEP"
    text = f"name: e\ncommand: '{command}'\nok_exit_codes: [1]\nparameters: {{p: [1, 2, 3, 4]}}\n"
    bench.write("e.yaml", text)
    bench.process("--run", "e.yaml", "--cluster", "c.yaml")
    host = socket.gethostname()
    found = sorted(bench.output(task).split() for task in range(4))
    assert sorted({tuple(line[:2]) for line in found}) == [("n1", "0"), ("n1", "1"), ("n2", "0"), ("n2", "1")]
    assert [line[3:] for line in found] == [[host, "0"]] * 4 and {line[2] for line in found} == {"0", "1"}
    parts = {row["node"].rpartition(".")[2] for row in bench.tasks()}
    assert parts == {"n1", "n2"} and len({row["node"] for row in bench.tasks()}) == 4
    nothing_is_left(slurm)
    assert not [*Path(f"/tmp/tui-lab-{os.getuid()}").glob(f"tl-{bench.lab.identity}-*")]


def test_a_job_whose_time_is_cut_short_gets_only_what_can_end_in_it(bench: Workbench, slurm: PrivateSlurm) -> None:
    keys = '{partition: main, max: 1, every: 0.2, idle: 60, leave: 60, time: "1:00:00"}'
    bench.write("c.yaml", f"nodes: [{{name: big, slots: 1, slurm: {keys}}}]\n")
    wait = "echo $TUI_LAB_DEADLINE; until [ -e go ]; do sleep 0.05; done"
    bench.write("e.yaml", f"name: e\ncommand: '{wait}'\ntimeout: 30m\nparameters: {{p: [1, 2]}}\n")
    run = bench.start("--run", "e.yaml", "--cluster", "c.yaml")
    until(lambda: bench.events("started"), 60)
    first = bench.events("assigned")[0]["node"]
    slurm.run("scontrol", "update", f"JobId={first.removeprefix('big.')}", "TimeLimit=5")

    def left() -> float:
        nodes = json.loads(bench.process("nodes", "--json").out)["nodes"]
        return min(float(node["ends_in"]) for node in nodes if node["name"] == first)

    until(lambda: left() < 300, 60)
    (bench.folder / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 0
    assert [event["state"] for event in bench.events("finished")] == ["done", "done"]
    assert len({row["node"] for row in bench.tasks()}) == 2, "the other task has a job of its own"
    assert int(bench.output(1)) > int(bench.output(0)) > 0
    nothing_is_left(slurm)
