"""Jobs of Slurm that end before their tasks do, and a Slurm that does not answer: nothing is lost, and nothing counts
against a task."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from typing import Any

from tests.engine.pools.conftest import nothing_is_left, write_cluster
from tests.services import slurm as service
from tests.services.slurm import PrivateSlurm
from tests.workbench import Workbench, until

pytestmark = service.MARKS

WAIT = "until [ -e go{p} ] || [ -e go ]; do sleep 0.05; done; echo $TUI_LAB_DEADLINE"


def losses(bench: Workbench) -> Counter[tuple[int, str, int]]:
    """(task, reason, what it cost) of attempts that were lost."""
    lost = [event for event in bench.events("finished") if event["state"] == "lost"]
    return Counter((event["task"], event["reason"], event["again"]) for event in lost)


def nodes_of(bench: Workbench, task: int) -> list[str]:
    """The nodes that a task was assigned to, one after the other."""
    assigned = bench.events("assigned")
    return [event["node"] for event in assigned if any(one == task for one, _ in event["attempts"])]


def started(bench: Workbench, task: int) -> int:
    """How many attempts of a task have begun."""
    return len({event["attempt"] for event in bench.events("started") if event["task"] == task})


def test_preempted_and_requeued(bench: Workbench, slurm: PrivateSlurm) -> None:
    """Within the grace time a job goes on. Then Slurm begins it again, as another node."""
    write_cluster(bench, ", requeue: true")
    bench.write("e.yaml", f"name: e\ncommand: '{WAIT}'\nparameters: {{p: [0, 1, 2]}}\n")
    run = bench.start("--run", "e.yaml", "--cluster", "c.yaml")
    until(lambda: len(bench.events("started")) == 3, 60)
    first = {task: nodes_of(bench, task)[0] for task in range(3)}
    urgent = slurm.run(
        "sbatch", "--parsable", "-p", "urgent", "-N2", "--exclusive", "-o/dev/null", "--wrap", "sleep 600"
    )
    shown: list[Any] = []

    def closing() -> bool:
        shown[:] = json.loads(bench.process("nodes", "--json").out)["nodes"]
        ends = [node.get("ends_in") for node in shown if node.get("pool")]
        return len(ends) == 2 and all(end is not None and end < 2 * service.GRACE for end in ends)

    until(closing, 30)
    (bench.folder / "go0").touch()
    until(lambda: [event["task"] for event in bench.events("finished") if event["state"] == "done"] == [0])
    until(lambda: len(losses(bench)) == 2, 60)
    assert losses(bench) == {(1, "preempted", 0): 1, (2, "preempted", 0): 1}
    slurm.run("scancel", urgent.stdout.strip())
    until(lambda: started(bench, 1) == started(bench, 2) == 2, 60)
    again = {task: nodes_of(bench, task)[1] for task in (1, 2)}
    assert not {*again.values()} & {*first.values()}
    job = again[1].removeprefix("big.")
    slurm.run("scontrol", "requeue", job)
    until(lambda: slurm.run("squeue", "-h", "-j", job, "-o", "%T").stdout.strip() == "PENDING")
    slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")  # else two minutes later
    until(lambda: nodes_of(bench, 1)[2:] == [f"big.{job}r1"] and started(bench, 1) == 3, 60)
    (bench.folder / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 0 and started(bench, 0) == 1
    assert {(reason, cost) for _, reason, cost in losses(bench)} == {("preempted", 0)}
    nothing_is_left(slurm)


def test_the_time_is_up(bench: Workbench, slurm: PrivateSlurm) -> None:
    """An agent ends in time what runs. Where it can't, Slurm ends it."""
    write_cluster(bench, ", time: 1")
    bench.write("e.yaml", f"name: e\ncommand: '{WAIT}'\nparameters: {{p: [0, 1, 2, 3]}}\n")
    run = bench.start("--run", "e.yaml", "--cluster", "c.yaml")
    until(lambda: len(bench.events("started")) == 4, 60)
    stuck = nodes_of(bench, 0)[0]
    others = [task for task in range(4) if nodes_of(bench, task) != [stuck]]
    for pid in slurm.agents(stuck.removeprefix("big.")):
        os.kill(pid, signal.SIGSTOP)
    until(lambda: {task for task, _, _ in losses(bench)} >= set(others), 90)
    until(lambda: len(losses(bench)) == 4, 60)
    assert {(reason, cost) for _, reason, cost in losses(bench)} == {("walltime", 0)}
    assert "TIMEOUT" in slurm.run("scontrol", "show", "job", stuck.removeprefix("big.")).stdout
    run.communicate(timeout=60)
    assert run.returncode == 1 and {row["reason"] for row in bench.tasks()} == {"walltime"}, "they fit in no such job"
    nothing_is_left(slurm)


def test_slurm_itself_goes_away(bench: Workbench, slurm: PrivateSlurm) -> None:
    """Jobs go on without controller and slurmd, and so do their tasks."""
    bench.write("e.yaml", f"name: e\ncommand: '{WAIT}'\nparameters: {{p: [0, 1, 2, 3, 4, 5]}}\n")
    run = bench.start("--run", "e.yaml", "--cluster", "c.yaml")
    until(lambda: len(bench.events("started")) == 4, 60)
    daemons = [slurm.processes["slurmctld"], *(slurm.processes[f"slurmd-{node}"] for node in slurm.nodes)]
    for daemon in daemons:
        # A controller that is killed may forget what has just begun.
        os.kill(daemon.pid, signal.SIGTERM if daemon is daemons[0] else signal.SIGKILL)
        daemon.wait()
    try:
        until(lambda: "Unable to contact slurm controller" in bench.process("nodes").out, 30)
        for task in (0, 1, 2):
            (bench.folder / f"go{task}").touch()
        until(lambda: len(bench.events("started")) >= 6, 30)
    finally:
        slurm.start_controller()
        for node in slurm.nodes:
            slurm.start_node(node)
    (bench.folder / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 0 and not losses(bench)
    nothing_is_left(slurm)
