"""Nodes that an engine grants: asked for as tasks wait, lost with their allocation, and all given back."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.cli.test_plugins import install
from tests.workbench import Workbench, until

POINTS = {
    "tui_lab.node_keys": {"processes": "tests.made_up.supply:Processes"},
    "tui_lab.transports": {"processes": "tests.engine.contract.ended:make"},
}


class Pool:
    """A pool of processes of this machine, and what a test does to them. `env`: under which its package is there."""

    def __init__(self, workbench: Workbench, folder: Path) -> None:
        folder.mkdir()
        self.workbench = workbench
        self.folder = folder
        self.env = install(workbench.folder, POINTS)

    def cluster(self, *, room: int, more: str = "", slots: int = 1) -> None:
        """Write c.yaml."""
        key = f"{{folder: {self.folder}, room: {room}, every: 0.1, leave: 30{more}}}"
        self.workbench.write("c.yaml", f"nodes:\n- {{name: big, slots: {slots}, processes: {key}}}\n")

    def cut_off(self, task: int, cause: str) -> None:
        """End the allocation of a running task."""
        assigned = [event for event in self.workbench.events("assigned") if [task, 1] in event["attempts"]]
        number = assigned[-1]["node"].removeprefix("big.")
        name = next(path.stem for path in self.folder.glob("*.pid") if path.read_text() == number)
        (self.folder / f"{name}.cause").write_text(cause)
        os.kill(int(number), signal.SIGKILL)

    @property
    def running(self) -> list[int]:
        """The processes that are left."""
        pids = [int(path.read_text()) for path in self.folder.glob("*.pid")]
        return [pid for pid in pids if Path(f"/proc/{pid}/exe").exists() and not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except OSError:
        return True


@pytest.fixture
def pool(workbench: Workbench, tmp_path: Path) -> Pool:
    return Pool(workbench, tmp_path / "pool")


def test_tasks_run_in_allocations_which_are_all_given_back(workbench: Workbench, pool: Pool) -> None:
    pool.cluster(room=2, more=", max: 3")
    (pool.folder / "seconds").write_text("1000")
    begun = time.time()
    workbench.write(
        "e.yaml", "name: e\ncommand: 'echo $TUI_LAB_DEADLINE; sleep 0.2'\nparameters: {p: [1, 2, 3, 4, 5, 6]}\n"
    )
    workbench.process("--run", "e.yaml", "--cluster", "c.yaml", env=pool.env)
    nodes = workbench.process("query", "SELECT node, state FROM e", "--format", "csv", env=pool.env).lines[1:]
    assert len(nodes) == 6 and all(line.startswith("big.") and line.endswith(",done") for line in nodes)
    assert 1 <= len(set(nodes)) <= 3
    deadlines = [int(path.read_text()) for path in workbench.lab_path.rglob("stdout")]
    assert len(deadlines) == 6 and all(begun + 995 < deadline < time.time() + 1000 for deadline in deadlines)
    assert not pool.running and not list(pool.folder.glob("*.asked")), "also what was still waiting"
    asked = [line for line in (workbench.lab_path / "allocations.jsonl").read_text().splitlines() if "asked" in line]
    assert len(asked) == 3, "six tasks, and at most three"


def test_what_is_longer_than_an_allocation_fails_after_one_that_it_had(workbench: Workbench, pool: Pool) -> None:
    pool.cluster(room=1)
    (pool.folder / "seconds").write_text("6")
    workbench.write("e.yaml", "name: e\ncommand: sleep {p}\nparameters: {p: [0.1, 100]}\n")
    printed = workbench.process("--run", "e.yaml", "--cluster", "c.yaml", code=1, env=pool.env).err
    (first, last) = [event for event in workbench.events("finished") if event["task"] == 1]
    assert (first["state"], first["reason"], first["again"]) == ("lost", "walltime", 0)
    assert (last["state"], last["reason"], last["attempt"]) == ("failed", "walltime", 2)
    assert last["message"] in printed and "did not end; allocations of big have 0:0" in printed
    assert [row["state"] for row in workbench.tasks()] == ["done", "failed"]
    assert not pool.running


def test_what_ends_with_its_allocation_runs_again_at_no_cost(workbench: Workbench, pool: Pool) -> None:
    pool.cluster(room=4)
    wait = "until [ -e go ]; do sleep 0.02; done"
    workbench.write("e.yaml", f"name: e\ncommand: '{wait}'\nparameters: {{p: [1, 2, 3, 4]}}\n")
    run = workbench.start("--run", "e.yaml", "--cluster", "c.yaml", env=pool.env)
    until(lambda: len(workbench.events("started")) == 4)
    workbench.process("nodes", "drain", "big", env=pool.env)
    shown = json.loads(workbench.process("nodes", "--json", env=pool.env).out)["nodes"]
    assert [node["state"] for node in shown] == ["drained"] * 5
    assert [node["pool"] for node in shown[1:]] == ["big"] * 4
    assert shown[0]["pending"] == 0 and shown[0]["slots"] is None, "those of its nodes are not counted twice"
    assert all(node["job"] == node["name"].removeprefix("big.") for node in shown[1:])
    workbench.process("nodes", "resume", "big", env=pool.env)
    lines = workbench.process("nodes", env=pool.env).lines
    assert lines[1].split()[:2] == ["big", "pool"] and "  big: 4 allocations are up" in lines
    assert "pool big: 4 allocations are up" in workbench.process("status", env=pool.env).lines
    wrong = workbench.process("nodes", "set", shown[1]["node"], "slots=3", code=None, env=pool.env)
    assert wrong.code and "belongs to big" in wrong.err
    # The loss of a node comes first: a second attempt may have been handed to a node that is cut off next.
    causes = ("node-lost", "walltime", "preempted", "cancelled")
    for task, cause in enumerate(causes):
        pool.cut_off(task, cause)
    until(lambda: len(workbench.events("started")) == 8)
    (workbench.folder / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 0
    finished = [event for event in workbench.events("finished") if event["attempt"] == 1]
    lost = {event["task"]: event for event in finished if event["state"] == "lost"}
    assert [lost[task]["reason"] for task in range(4)] == list(causes)
    assert [lost[task]["again"] for task in range(4)] == [1, 0, 0, 0]
    until(lambda: workbench.engine_pid() is None)
    lines = workbench.process("nodes", env=pool.env).lines
    assert lines[2].startswith("big ") and lines[3] == "  big: 8 allocations of it, all ended" and len(lines) == 4
    spent = workbench.experiment().state().columns["spent"]
    assert list(spent) == [1, 0, 0, 0]
    assert not pool.running
