"""Experiments whose tasks run in workers of Ray, from the command line."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.services import ray as service
from tests.services.ray import PrivateRay
from tests.workbench import Workbench, until

pytestmark = service.MARKS


@pytest.fixture
def bench(workbench: Workbench, ray: PrivateRay) -> Workbench:
    """A workbench with a cluster that is the Ray of the tests."""
    workbench.environment |= service.ENVIRONMENT
    workbench.write("c.yaml", f"nodes: [{{name: pool, ray: {{address: '{ray.address}', idle: 1, max: 2}}}}]\n")
    return workbench


def nothing_is_left(bench: Workbench) -> None:
    """No agent is left: its processes name the lab, by the folder that they keep."""
    identity = bench.lab.identity
    until(lambda: not [pid for pid in Path("/proc").glob("[0-9]*") if identity in _words(pid)], 30)


def _words(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.smoke("ray")
def test_stages_that_need_more_and_more_than_there_is(bench: Workbench, ray: PrivateRay) -> None:
    bench.write(
        "e.yaml",
        """\
        name: e
        stages:
          make: {command: 'echo {p} >{output}/made', needs: {cpus: 1}}
          fit: {command: 'echo y=$(cat {make.output}/made) omp=$OMP_NUM_THREADS; test {p} != 3', needs: {cpus: '{c}'}}
        parameters: {p: {range: [0, 6]}, c: [1, 2]}
        metrics: {y: {pattern: 'y=(\\d+)'}}
        """,
    )
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", code=1)
    nothing_is_left(bench)
    rows = bench.tasks()
    assert Counter(row["state"] for row in rows) == {"done": 10, "failed": 2}
    assert sorted(int(row["y"]) for row in bench.table("SELECT y FROM e WHERE c = 2")) == [0, 1, 2, 4, 5]
    assert {row["node"].partition(".")[0] for row in rows} == {"pool"}
    said = bench.process("plan", "e.yaml", "c=9", "--cluster", "c.yaml", code=2).err
    assert "a task needs cpus: 9, and an allocation of pool has 2" in said
    bench.write("c2.yaml", f"nodes: [{{name: pool, ray: {{address: '{ray.address}', resources: {{tape: 1}}}}}}]\n")
    said = bench.process("plan", "e.yaml", "--cluster", "c2.yaml", code=2).err
    assert "pool: Ray: it asks for tape: 1, and no node of Ray has more than 0" in said


def test_a_node_is_added_and_lost_and_the_engine_killed(bench: Workbench, ray: PrivateRay) -> None:
    wait = "until [ -e go ]; do sleep 0.05; done"
    bench.write("e.yaml", f"name: e\ncommand: '{wait}'\nparameters: {{p: [1, 2, 3]}}\nneeds: {{cpus: 2}}\n")
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", "--detach")
    until(lambda: len(bench.events("started")) == 1, 60)
    ip = ray.start_node("n4", cpus=2)
    until(lambda: len(bench.events("started")) == 2, 60)
    bench.kill_engine()
    until(lambda: bench.engine_pid() is None)
    os.kill(ray.raylet(ip), signal.SIGKILL)
    bench.process("resume", "e", "--detach")
    until(lambda: [event for event in bench.events("finished") if event["state"] == "lost"], 60)
    (bench.folder / "go").touch()
    until(lambda: bench.events("ended"), 60)
    ends = bench.events("finished")
    assert Counter((event["state"], event.get("reason")) for event in ends) == {
        ("done", None): 3,
        ("lost", "node-lost"): 1,
    }
    nothing_is_left(bench)
    ray.end_node("n4")
