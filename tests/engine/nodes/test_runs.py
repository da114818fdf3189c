"""Sweeps on machines reached by SSH: what comes out is what a run on this machine gives."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.workbench import Workbench, below, until
from tui_lab.client.elsewhere import FileElsewhere, bring
from tui_lab.engine.client import EngineClient
from tui_lab.protocol.control import ListNodes

PRINT = """\
name: e
command: |
  echo value: {x}; echo to stderr >&2; echo file {x} > {output}/made.txt
  echo "$TUI_LAB_NODE" >> "$TRUTH/{task_id}"
  while ! test -e "$TRUTH/go"; do sleep 0.05; done
parameters: {x: {range: [0, 20]}}
repeat: 2
env: {TRUTH: TRUTH_FOLDER}
metrics: {value: 'value: (@int@)', made: {pattern: 'file (@int@)', from: made.txt}}
"""


def write(workbench: Workbench, text: str, name: str = "e.yaml") -> Path:
    """An experiment file; TRUTH_FOLDER in it becomes a folder that every node sees."""
    truth = truth_folder(workbench)
    truth.mkdir(exist_ok=True)
    return workbench.write(name, text.replace("TRUTH_FOLDER", str(truth)))


def truth_folder(workbench: Workbench) -> Path:
    return Path("/var/tmp") / f"tui-lab-truth-{workbench.folder.name}-{os.getpid()}"


@pytest.fixture(autouse=True)
def remove_truth(workbench: Workbench) -> Any:
    yield
    import shutil

    shutil.rmtree(truth_folder(workbench), ignore_errors=True)


def effects(workbench: Workbench) -> dict[int, int]:
    """How often each task really ran."""
    files = [path for path in truth_folder(workbench).iterdir() if path.name.isdigit()]
    return {int(path.name): len(path.read_text().splitlines()) for path in files}


def seen(workbench: Workbench) -> list[dict[str, Any]]:
    """The tasks, none before there is anything."""
    return workbench.tasks() if workbench.events("submitted") else []


def go(workbench: Workbench) -> None:
    (truth_folder(workbench) / "go").touch()


def states(workbench: Workbench, name: str = "e") -> Counter[str]:
    return Counter(task["state"] for task in workbench.tasks(name))


def running(workbench: Workbench) -> Counter[str]:
    """How many tasks run on each node."""
    return Counter(task["node"] for task in seen(workbench) if task["state"] == "running")


def table(workbench: Workbench, fleet: Fleet, sql: str) -> list[dict[str, Any]]:
    result = workbench("query", sql, "--format", "json", env=fleet.environment(workbench))
    rows: list[dict[str, Any]] = json.loads(result.out)
    return rows


def leftovers(fleet: Fleet) -> dict[str, list[Any]]:
    """What still runs on nodes for the lab, and spools there."""
    found = {}
    for name, node in fleet.nodes.items():
        if node.spools() or node.agent_pid():
            found[name] = [node.spools(), node.agent_pid()]
    return found


@pytest.mark.slow
@pytest.mark.smoke("ssh")
@pytest.mark.parametrize("shared", [True, False])
def test_a_run_on_nodes_equals_a_run_here(workbench: Workbench, fleet: Fleet, shared: bool) -> None:
    file = write(workbench, PRINT)
    env = fleet.environment(workbench)
    go(workbench)
    workbench("--run", file, "--node", "localhost", 2, "--lab", workbench.folder / "here")
    one = fleet.node("one", slots=2, shared=shared)
    two = fleet.node("two", slots=1, shared=shared)
    (truth_folder(workbench) / "go").unlink()  # no task ends before both nodes are there
    run = workbench.start("--run", file, *one.words, *two.words, env=env)
    until(lambda: running(workbench) == {"one": 2, "two": 1}, 60)
    go(workbench)
    assert run.wait(60) == 0
    columns = "x, value, made, task_id, repeat, version, state, reason, attempts, exit_code"
    sql = f"SELECT {columns} FROM e ORDER BY task_id"
    remote = table(workbench, fleet, sql)
    here = workbench("query", sql, "--format", "json", "--lab", workbench.folder / "here", code=None)
    assert remote == json.loads(here.out)
    assert {row["node"] for row in table(workbench, fleet, "SELECT DISTINCT node FROM e")} == {"one", "two"}
    assert set(effects(workbench).values()) == {2}  # once here, once there
    for task in (0, 39):
        assert workbench.output(task) == f"value: {task // 2}\n"
        assert workbench.output(task, "stderr") == "to stderr\n"
        assert workbench.output(task, "made.txt") == f"file {task // 2}\n"
    until(lambda: not leftovers(fleet))


@pytest.mark.slow
def test_the_program_travels_and_only_what_changed(workbench: Workbench, fleet: Fleet) -> None:
    workbench.write("main.py", "import sys, extra.lib\nprint('value:', extra.lib.double(int(sys.argv[1])))\n")
    (workbench.folder / "extra").mkdir()
    (workbench.folder / "extra" / "lib.py").write_text("def double(x): return 2 * x\n")
    (workbench.folder / "tool.sh").write_text("#!/bin/sh\necho tool $1\n")
    (workbench.folder / "tool.sh").chmod(0o755)
    text = """\
        name: e
        command: ['python3 main.py {x}', './tool.sh {x}']
        parameters: {x: [1, 2, 3]}
        code: ['extra/**/*.py']
        metrics: {value: 'value: (@int@)'}
        """
    file = workbench.write("e.yaml", text)
    attic = fleet.node("attic", shared=False)
    env = fleet.environment(workbench)
    workbench("--run", file, *attic.words, env=env)
    assert [row["value"] for row in table(workbench, fleet, "SELECT value FROM e ORDER BY x")] == [2, 4, 6]
    assert workbench.output(0).endswith("tool 1\n")
    (workbench.folder / "extra" / "lib.py").write_text("def double(x): return 20 * x\n")
    workbench("--run", file, "--rerun", *attic.words, env=env)
    assert [row["value"] for row in table(workbench, fleet, "SELECT value FROM e ORDER BY x")] == [20, 40, 60]
    objects = list(attic.machine.home.rglob("objects/*"))
    assert len(objects) == 4  # main.py, tool.sh and two of lib.py


@pytest.mark.slow
def test_what_is_not_kept_stays_there_until_it_is_fetched(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: 'echo done; head -c 300000 /dev/zero > {output}/big.bin; echo 5 > {output}/small.csv'
        keep: '*.csv'
        """
    file = workbench.write("e.yaml", text)
    attic = fleet.node("attic", shared=False, latency=0.05)
    env = fleet.environment(workbench)
    workbench("--run", file, *attic.words, env=env)
    folder = workbench.experiment().task_folder(0)
    assert sorted(path.name for path in folder.iterdir()) == ["small.csv", "stderr", "stdout"]
    shown = workbench("show", "0", env=env, code=None)
    assert "big.bin" in shown.out and "attic" in shown.out

    class GivenUpError(Exception):
        pass

    def give_up(_: int) -> None:
        raise GivenUpError

    with pytest.raises(GivenUpError):
        bring(folder, FileElsewhere("big.bin", 300_000, "attic", attempt=1), env, give_up)
    until(lambda: not (workbench.lab_path / "engine.json").exists())
    assert not (folder / "big.bin").exists(), "the engine has given it up, too"
    workbench.process("fetch", "0", "*.bin", env=env)
    assert (folder / "big.bin").stat().st_size == 300000
    workbench("clean", "--nodes", "--yes", env=env)
    assert not list(attic.machine.home.rglob("big.bin"))
    until(lambda: not leftovers(fleet))


def test_a_large_artefact_and_many_small_ones_come_home(
    workbench: Workbench, fleet: Fleet, request: pytest.FixtureRequest
) -> None:
    size, count = (1 << 30, 10_000) if request.config.getoption("--long") else (40 << 20, 1000)
    text = f"""\
        name: e
        command: |
          if [ {{x}} = 0 ]; then head -c {size} /dev/urandom > {{output}}/large.bin; sha256sum < {{output}}/large.bin
          else for i in $(seq {count}); do echo $i > {{output}}/f$i; done; fi
        parameters: {{x: [0, 1]}}
        """
    file = workbench.write("e.yaml", text)
    attic = fleet.node("attic", shared=False)
    env = fleet.environment(workbench)
    workbench("--run", file, *attic.words, env=env, timeout=500)
    import hashlib

    folder = workbench.experiment().task_folder(0)
    with open(folder / "large.bin", "rb") as large:
        assert hashlib.file_digest(large, "sha256").hexdigest() == workbench.output(0).split()[0]
    small = workbench.experiment().task_folder(1)
    assert {path.name: path.read_text() for path in small.glob("f*")} == {
        f"f{i}": f"{i}\n" for i in range(1, count + 1)
    }
    until(lambda: not any(path.endswith("large.bin") for path in below(attic.machine.home)))


def test_logs_and_live_metrics_of_a_node_elsewhere(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: |
          echo begun; echo '{"step": 1, "loss": 0.5}' >> $TUI_LAB_METRICS
          while ! test -e TRUTH_FOLDER/go; do sleep 0.05; done; echo over
        """
    file = write(workbench, text)
    attic = fleet.node("attic", shared=False)
    env = fleet.environment(workbench)
    run = workbench.start("--run", file, *attic.words, env=env)
    until(lambda: workbench.events("started"))
    follower = workbench.start("logs", "-f", "0", env=env)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "begun\n"
    assert workbench("logs", "0").out == "begun\n"
    assert workbench("logs", "0", "--stderr").err == "e/0 has printed nothing yet\n"
    metrics = workbench.experiment().task_folder(0) / "metrics.jsonl"
    until(lambda: metrics.exists() and metrics.read_text().endswith("\n"))
    assert json.loads(metrics.read_text()) == {"step": 1, "loss": 0.5}
    (truth_folder(workbench) / "go").touch()
    assert run.wait(30) == 0
    assert follower.stdout.read() == "over\n"


def test_node_variables_setup_and_workdir(workbench: Workbench, fleet: Fleet) -> None:
    attic = fleet.node("attic", shared=False, setup="export FROM_SETUP=set", variables={"OF_NODE": "a b"}, workdir="~")
    text = """\
        name: e
        command: 'echo "$FROM_SETUP/$OF_NODE/$LAPTOP/$PWD"'
        """
    file = workbench.write("e.yaml", text)
    env = fleet.environment(workbench, LAPTOP="secret")
    workbench("--run", file, "--cluster", fleet.cluster_file(), env=env)
    assert workbench.output(0) == f"set/a b//{attic.machine.home}\n"


@pytest.mark.slow
def test_stop_timeout_and_ctrl_c_reach_the_nodes(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: 'sleep 1000 & sleep 1000'
        parameters: {x: [0, 1, 2, 3]}
        timeout: 1h
        grace: 1
        """
    file = workbench.write("e.yaml", text)
    attic = fleet.node("attic", slots=4, shared=False)
    env = fleet.environment(workbench)
    run = workbench.start("--run", file, *attic.words, env=env)
    until(lambda: len(workbench.events("started")) == 4)
    workbench("stop", "e/0", env=env)
    until(lambda: workbench.tasks()[0]["state"] == "stopped")
    workbench("retry", "e/0", "timeout=0.2", "--detach", env=env)
    until(lambda: workbench.tasks()[0]["reason"] == "timeout")
    run.send_signal(signal.SIGINT)
    until(lambda: workbench.events("drained"))
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 130
    assert Counter(task["state"] for task in workbench.tasks()) == {"failed": 1, "pending": 3}
    assert not [words for words in commands_on(fleet, "attic") if "sleep" in words]
    until(lambda: not leftovers(fleet))


def commands_on(fleet: Fleet, name: str) -> list[str]:
    """The command lines of what runs on a node."""
    lines = []
    for pid in fleet.nodes[name].machine.processes():
        try:
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return lines


@pytest.mark.slow
def test_nodes_are_changed_while_a_run_goes_on(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: 'while ! test -e TRUTH_FOLDER/go{x}; do sleep 0.05; done'
        parameters: {x: {range: [0, 12]}}
        """
    file = write(workbench, text)
    one, two = fleet.node("one", slots=1), fleet.node("two", slots=1)
    env = fleet.environment(workbench)
    run = workbench.start("--run", file, *one.words, env=env)
    until(lambda: running(workbench) == {"one": 1})
    workbench("nodes", "set", "one", "slots=3", env=env)
    until(lambda: running(workbench) == {"one": 3})
    workbench("nodes", "add", *two.words, env=env)
    until(lambda: running(workbench) == {"one": 3, "two": 1})
    workbench("nodes", "drain", "one", env=env)
    for x in range(8):
        (truth_folder(workbench) / f"go{x}").touch()
    until(lambda: running(workbench) == {"two": 1})
    client = EngineClient.connect(workbench.lab)
    assert client is not None
    states = {node.name: node.state for node in client.request(ListNodes()).nodes}
    assert states == {"one": "drained", "two": "up"}
    workbench.kill_engine()  # the next engine knows of all that
    for x in range(8, 12):
        (truth_folder(workbench) / f"go{x}").touch()
    assert run.wait(60) == 0
    assert Counter(task["state"] for task in workbench.tasks()) == {"done": 12}
    late = {task["node"] for task in workbench.tasks() if task["task_id"] > 8}
    assert late == {"two"}


@pytest.mark.slow
def test_samples_of_nodes_are_a_table(workbench: Workbench, fleet: Fleet) -> None:
    node = fleet.node("tower")
    text = "name: e\ncommand: 'while ! test -e TRUTH_FOLDER/go; do sleep 0.05; done'\n"
    env = fleet.environment(workbench)
    run = workbench.start("--run", write(workbench, text), *node.words, env=env)
    samples = workbench.lab_path / "nodes.jsonl"
    until(lambda: samples.exists() and '"load":' in samples.read_text(), 60)
    (truth_folder(workbench) / "go").touch()
    assert run.wait(30) == 0
    rows = table(
        workbench, fleet, "SELECT DISTINCT node, state, slots, memory > 0 AS memory, load >= 0 AS load FROM nodes"
    )
    assert {"node": "tower", "state": "up", "slots": 2, "memory": True, "load": True} in rows
    # The node's packages are listed first: the engine waits for that, the run does not.
    until(lambda: "Linux" in workbench("show", "0", env=env).out, 60)
