"""Experiments whose tasks run beside workers of Dask, from the command line."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.nodes.machine import can_hide
from tests.services import dask as service
from tests.services.dask import PrivateDask
from tests.workbench import Workbench, until

pytestmark = service.MARKS

WAITS = "name: e\ncommand: 'until [ -e go ]; do sleep 0.05; done; echo {p}'\nparameters: {p: [1, 2, 3, 4]}\n"


def write_cluster(workbench: Workbench, dask: PrivateDask) -> None:
    keys = f"{{address: '{dask.address}', idle: 1, every: 0.3}}"
    workbench.write("c.yaml", f"nodes: [{{name: pool, slots: 2, dask: {keys}}}]\n")


@pytest.fixture
def bench(workbench: Workbench, dask: PrivateDask) -> Workbench:
    """A workbench with a cluster that is the Dask of the tests."""
    write_cluster(workbench, dask)
    return workbench


def nothing_is_left(bench: Workbench) -> None:
    until(lambda: not service.left(f"tl-{bench.lab.identity}-"), 30)


@pytest.mark.smoke("dask")
def test_an_experiment_of_fifty_tasks(bench: Workbench) -> None:
    bench.write(
        "e.yaml",
        """\
        name: e
        command: 'echo y={p}; test {p} != 7'
        parameters: {p: {range: [0, 50]}}
        metrics: {y: {pattern: 'y=(\\d+)'}}
        """,
    )
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", code=1)
    nothing_is_left(bench)
    rows = bench.tasks()
    assert Counter(row["state"] for row in rows) == {"done": 49, "failed": 1}
    assert sorted(int(row["y"]) for row in bench.table("SELECT y FROM e")) == [y for y in range(50) if y != 7]
    assert {row["node"].partition("-")[0] for row in rows} <= {"pool.1", "pool.2", "pool.3"}


def test_a_worker_dies_and_another_one_comes(bench: Workbench, dask: PrivateDask) -> None:
    bench.write("e.yaml", WAITS)
    run = bench.start("--run", "e.yaml", "--cluster", "c.yaml")
    until(lambda: len(bench.events("started")) == 4, 60)
    dask.kill("w1")
    dask.start_worker("w1")
    until(lambda: len(bench.events("started")) == 6, 60)
    (bench.folder / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 0
    lost = [event for event in bench.events("finished") if event["state"] == "lost"]
    assert len(lost) == 2 and {event["reason"] for event in lost} == {"node-lost"}
    assert len({event["node"] for event in bench.events("assigned")}) == 3
    assert [row["state"] for row in bench.tasks()] == ["done"] * 4
    nothing_is_left(bench)


def test_another_engine_goes_on_with_the_leases_of_one_that_was_killed(bench: Workbench) -> None:
    bench.write("e.yaml", WAITS)
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", "--detach")
    until(lambda: len(bench.events("started")) == 4, 60)
    bench.kill_engine()
    until(lambda: bench.engine_pid() is None)
    bench.process("resume", "e", "--detach")
    (bench.folder / "go").touch()
    until(lambda: bench.events("ended"), 60)
    assert max(event["attempt"] for event in bench.events("finished")) == 1
    assert {row["node"] for row in bench.tasks()} == {event["node"] for event in bench.events("assigned")}
    nothing_is_left(bench)


def test_a_task_is_stopped(bench: Workbench) -> None:
    bench.write("e.yaml", WAITS)
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", "--detach")
    until(lambda: len(bench.events("started")) == 4, 60)
    bench.process("stop", "e")
    until(lambda: bench.events("ended"), 60)
    assert {event["state"] for event in bench.events("finished")} == {"stopped"}
    nothing_is_left(bench)


@pytest.fixture
def away(tmp_path: Path) -> Iterator[PrivateDask]:
    """A Dask whose workers don't see the folder of the test."""
    service.need()
    if not can_hide():
        pytest.skip("needs root and the right to mount: nodes that don't see a folder")
    with PrivateDask(hidden=tmp_path) as one:
        yield one


def test_stages_and_files_of_workers_that_see_nothing_of_ours(workbench: Workbench, away: PrivateDask) -> None:
    write_cluster(workbench, away)
    data = random.Random(1).randbytes(3 << 20)
    (workbench.folder / "data.bin").write_bytes(data)
    workbench.write(
        "e.yaml",
        f"""\
        name: e
        stages:
          prepare: {{command: 'cp data.bin {{output}}/copy', inputs: data.bin, outs: copy, uses: []}}
          train:
            command: |
              cat {{prepare.output}}/copy | tee {{output}}/model
              if test -e {workbench.lab_path}; then echo it sees the lab; fi; test {{n}} != 3
            keep: {{globs: model}}
        parameters: {{n: [1, 2, 3, 4, 5, 6]}}
        """,
    )
    workbench.process("--run", "e.yaml", "--cluster", "c.yaml", code=1)
    rows = workbench.tasks()
    assert [row["state"] for row in rows] == ["done", "done", "failed", "done", "done", "done"]
    for row in rows:
        folder = workbench.experiment().task_folder(row["task_id"])
        assert (folder / "stdout").read_bytes() == data == (folder / "model").read_bytes()
    nothing_is_left(workbench)
