"""Stages on machines that don't see the lab's folder: outputs are brought to what comes after."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine.nodes.fleet import Fleet, Node
from tests.engine.nodes.test_runs import leftovers, remove_truth, table, truth_folder, write
from tests.workbench import Workbench, until
from tui_lab.engine.transfer.partial import PART

__all__ = ["remove_truth"]

TEXT = """\
name: e
stages:
  prepare:
    command:
      - echo prepare >> TRUTH_FOLDER/ran; mkdir {output}/deep
      - seq 100000 > {output}/deep/data; ln -s data {output}/deep/newest
      - cp own {output}/own; echo waste > {output}/waste
    inputs: own
    keep: {globs: waste, most: 1K}
    outs: ['deep/newest', own]
    uses: []
  train:
    command: |
      echo train >> TRUTH_FOLDER/ran
      while test $(grep -c train TRUTH_FOLDER/ran) -lt 2; do sleep 0.05; done  # one on each node
      ls {prepare.output} > {output}/seen
      tail -n {n} {prepare.output}/deep/newest > {output}/model
  test:
    command: 'wc -l < {train.output}/model | tee {output}/count; cat {prepare.output}/own; echo $TUI_LAB_OUTPUT_TRAIN'
    outs: count
  all:
    command: 'tail -n +2 {collected} | cut -f 1 | while read -r one; do cat $one/count; done'
    collect: n
parameters: {n: [10, 20, 30, 40]}
metrics: {lines: '^(@int@)$'}
"""


@pytest.mark.slow
def test_outputs_of_stages_are_brought_to_nodes_without_the_folder(workbench: Workbench, fleet: Fleet) -> None:
    file = write(workbench, TEXT)
    workbench.write("own", "of the project\n")
    nodes = [fleet.node("one", slots=1, shared=False), fleet.node("two", slots=1, shared=False)]
    words = [word for node in nodes for word in node.words]
    workbench("--run", file, *words, env=fleet.environment(workbench))
    rows = table(workbench, fleet, "SELECT n, lines, node FROM e ORDER BY n")
    assert [row["lines"] for row in rows] == [10, 20, 30, 40]
    assert "of the project" in workbench.output(0)
    prepared = next((workbench.experiment().path / "stages" / "prepare").iterdir())
    assert sorted(path.name for path in prepared.iterdir() if "std" not in path.name) == ["deep", "own", "waste"]
    assert Counter((truth_folder(workbench) / "ran").read_text().split()) == {"prepare": 1, "train": 4}
    runs = table(workbench, fleet, "SELECT stage, run_id, node FROM e_stages")
    home = next(row["node"] for row in runs if row["stage"] == "prepare")
    away = [row["run_id"] for row in runs if row["node"] != home and row["stage"] == "train"]
    assert away, "the test needs outputs that go from one machine to another"
    for one in away:
        seen = (workbench.experiment().path / "stages" / "train" / str(one) / "seen").read_text()
        assert seen.split() == ["deep", "own"], "these alone are brought"
    collected = workbench("logs", "e/0:all").out.split()
    assert collected == ["10", "20", "30", "40"], "the tasks of both nodes"
    until(lambda: not leftovers(fleet))
    for node in nodes:
        assert not [*node.machine.home.rglob("count"), *node.machine.tmp.rglob("count")]


CHAINS = """\
name: e
stages:
  prepare:
    command: |
      touch TRUTH_FOLDER/{data}
      until test -e TRUTH_FOLDER/0 && test -e TRUTH_FOLDER/1; do sleep 0.05; done  # one on each node
      echo {data} > {output}/data; seq 100000 > {output}/large; ln -s data {output}/link
  train:
    command: 'cat {prepare.output}/link > {output}/model; stat -c %Y {prepare.output}/large > {output}/made'
    uses: data
  test: {command: 'cat {train.output}/model; stat -c %Y {prepare.output}/large; cat {train.output}/made'}
parameters: {data: [0, 1]}
"""


@pytest.mark.slow
def test_a_stage_runs_where_its_inputs_are(workbench: Workbench, fleet: Fleet) -> None:
    """Each chain stays on its node, which keeps what the next stage needs, and nothing is left there in the end."""
    file = write(workbench, CHAINS)
    nodes = [fleet.node("one", slots=1, shared=False), fleet.node("two", slots=1, shared=False)]
    words = [word for node in nodes for word in node.words]
    workbench("--run", file, *words, env=fleet.environment(workbench))
    places: dict[int, set[str]] = {0: set(), 1: set()}
    for row in table(workbench, fleet, "SELECT data, node FROM e UNION ALL SELECT data, node FROM e_stages"):
        places[row["data"]].add(row["node"])
    assert sorted(map(sorted, places.values())) == [["one"], ["two"]]
    for task in (0, 1):
        data, first, second = workbench.output(task).split()
        assert data == str(task) and first == second
    assert (workbench.experiment().path / "stages" / "prepare" / "2" / "large").stat().st_size > 100_000, "it came home"
    until(lambda: not leftovers(fleet))
    for node in nodes:
        assert not [*node.machine.home.rglob("large"), *node.machine.tmp.rglob("large")]


BREAKS = """\
name: e
stages:
  prepare:
    command: |
      echo prepare >> TRUTH_FOLDER/ran; echo 7 > {output}/small
      head -c SIZE /dev/urandom > {output}/model; cksum < {output}/model
    uses: []
    outs: [model, small]
    run_on: here
    retain: until-done
  use: {command: 'cksum < {prepare.output}/model; echo use >> TRUTH_FOLDER/ran', run_on: far, uses: x}
parameters: {x: [1]}
"""


@pytest.mark.slow
@pytest.mark.fault
def test_bringing_goes_on_after_each_break(workbench: Workbench, fleet: Fleet) -> None:
    """The engine is killed, the link is cut, the agent is killed, the disk is full there: what comes is whole."""
    size = 100 << 20
    file = write(workbench, BREAKS.replace("SIZE", str(size)))
    disk = truth_folder(workbench) / "disk"
    disk.mkdir()
    cache = {"XDG_CACHE_HOME": str(disk)}
    far = fleet.node("far", slots=1, shared=False, tags=["far"], latency=0.04, start=False, env=cache)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "none", disk], check=True)
    try:
        far.machine.start()
        break_off(workbench, fleet, far, file, disk)
        ran = (truth_folder(workbench) / "ran").read_text().split()
        assert ran == ["prepare", "use"]
        run = next((workbench.experiment().path / "stages" / "prepare").iterdir())
        assert workbench.output(0) == (run / "stdout").read_text(), "the same bytes"
        until(lambda: not (run / "model").exists())
        until(lambda: not leftovers(fleet))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def break_off(workbench: Workbench, fleet: Fleet, far: Node, file: Path, disk: Path) -> None:
    """Run it, with breaks while the outputs of a stage are brought. disk: of the node, for the lab's files."""
    words, env = ["--node", "localhost", "1", "here", *far.words], fleet.environment(workbench)
    proxy = far.machine.proxy
    assert proxy is not None

    def more_than(least: int) -> int:
        """Wait until more is there, and stop the stream; return how much is there."""
        sizes = until(
            lambda: [path.stat().st_size for path in disk.rglob(f"model{PART}") if path.stat().st_size > least]
        )
        proxy.freeze()
        return int(sizes[0])

    workbench("--run", file, *words, "--detach", env=env)
    there = more_than(0)
    workbench.kill_engine()
    proxy.cut()
    proxy.thaw()
    workbench("--run", file, *words, "--detach", env=env)
    there = more_than(there)
    proxy.cut()
    proxy.thaw()
    there = more_than(there)
    os.kill(until(far.agent_pid), signal.SIGKILL)
    with suppress(OSError):  # what is under way takes some
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - (1 << 20)))
    proxy.thaw()
    until(lambda: "No space left" in (workbench.lab_path / "engine.log").read_text(), 60)
    (disk / "filler").unlink()
    workbench("--run", file, *words, env=env)


@pytest.mark.slow
@pytest.mark.fault
def test_outputs_that_are_removed_while_they_are_needed_are_made_again(workbench: Workbench, fleet: Fleet) -> None:
    text = BREAKS.replace("SIZE", "1000").replace("x: [1]", "x: [1, 2, 3]").replace("    retain: until-done\n", "")
    file, far = write(workbench, text), fleet.node("far", slots=1, shared=False, tags=["far"], latency=0.001)
    env, proxy = fleet.environment(workbench), far.machine.proxy
    assert proxy is not None
    proxy.freeze()
    run = workbench.start("--run", file, "--node", "localhost", 1, "here", *far.words, env=env)
    until(lambda: workbench.lab_path.exists() and workbench.events("finished"))
    shutil.rmtree(workbench.experiment().path / "stages" / "prepare")
    proxy.thaw()
    assert run.wait(60) == 0
    assert Counter((truth_folder(workbench) / "ran").read_text().split()) == {"prepare": 2, "use": 3}
    assert len({workbench.output(task) for task in range(3)}) == 1, "all have used the same"
    assert [row["state"] for row in workbench.table("SELECT state FROM e_stages")] == ["done"]


TWO = """\
name: e
stages:
  prepare: {command: 'head -c 10000000 /dev/urandom > {output}/model; echo 7 > {output}/n', uses: [], run_on: here}
  use:
    command: |
      echo {x} >> TRUTH_FOLDER/ran
      until test $(wc -l < TRUTH_FOLDER/ran) = 2; do sleep 0.05; done  # one on each node
      stat -c %d:%i {prepare.output}/model; cat {prepare.output}/n; cksum < {prepare.output}/model
    run_on: far
parameters: {x: [1, 2]}
"""


@pytest.mark.slow
def test_nodes_with_homes_on_one_disk_get_outputs_once(workbench: Workbench, fleet: Fleet) -> None:
    file = write(workbench, TWO)
    nodes = [fleet.node(name, slots=1, shared=False, tags=["far"]) for name in ("one", "two")]
    words = ["--node", "localhost", "1", "here", *nodes[0].words, *nodes[1].words]
    workbench("--run", file, *words, env=fleet.environment(workbench))
    outputs = [workbench.output(task).split() for task in (0, 1)]
    assert len({line[0] for line in outputs}) == 1, "the same file, without a copy"
    assert outputs[0][1:] == outputs[1][1:]
    until(lambda: not leftovers(fleet))
