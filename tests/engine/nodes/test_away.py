"""Nodes that are away: how that is told, and what becomes of tasks that are to be stopped there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.test_runs import (
    commands_on,
    go,
    leftovers,
    remove_truth,
    running,
    states,
    table,
    truth_folder,
    write,
)
from tests.workbench import Workbench, until

__all__ = ["remove_truth"]

WAITS = """\
name: NAME
command: 'echo {task_id} >> TRUTH_FOLDER/ran; while ! test -e TRUTH_FOLDER/go; do sleep 0.05; done'
repeat: REPEAT
grace: 1
"""


def waiting(workbench: Workbench, repeat: int, name: str = "e") -> Path:
    """An experiment whose tasks wait for a file."""
    return write(workbench, WAITS.replace("NAME", name).replace("REPEAT", str(repeat)), f"{name}.yaml")


def ran(workbench: Workbench) -> list[int]:
    """The tasks that really began, as often as they did."""
    return sorted(map(int, (truth_folder(workbench) / "ran").read_text().split()))


def listed(workbench: Workbench, name: str) -> dict[str, Any]:
    """A node as `tui-lab nodes --json` has it."""
    nodes = Workbench(workbench.folder)("nodes", "--json").json()["nodes"]
    return next((node for node in nodes if node["name"] == name), {})


def until_running(workbench: Workbench, count: int, name: str = "e") -> None:
    until(lambda: len(workbench.events("started", name)) >= count, 60)


def until_away(workbench: Workbench, name: str) -> None:
    """The engine has noticed."""
    until(lambda: f"WARNING node {name}:" in (workbench.lab_path / "engine.log").read_text(), 60)


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("silent", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_node_that_is_away_shows_since_when_and_no_old_samples(
    workbench: Workbench, fleet: Fleet, silent: bool
) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2, droppable=True)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 3), *near.words, *far.words, env=env)
    until_running(workbench, 3)
    until(lambda: "load" in listed(workbench, "far"), 60)
    assert listed(workbench, "far")["at"] is not None
    fleet.drop("far") if silent else fleet.stop("far")
    until_away(workbench, "far")
    node = listed(workbench, "far")
    assert node["state"] == "away" and node["error"]
    assert 0 <= node["away_for"] < node["lost_in"] + node["away_for"] <= 600
    assert not {"load", "memory_used", "latency", "clock_offset"} & set(node)
    assert (node["cores"] or 0) > 0 and node["memory"] > 0
    for words in (["nodes"], ["status"], ["status", "--nodes"]):
        said = workbench.process(*words, env=env, code=None).out
        assert "away for" in said and "lost in " in said and "then its 2 tasks run elsewhere" in said, said
    assert "far had e/" in said
    fleet.restore("far") if silent else fleet.start("far")
    until(lambda: listed(workbench, "far")["state"] == "up", 60)
    assert "away for" not in workbench("nodes", env=env, code=None).out
    go(workbench)
    assert run.wait(60) == 0
    assert ran(workbench) == [0, 1, 2]
    rows = table(workbench, fleet, "SELECT state, load, latency, error FROM nodes WHERE node = 'far' ORDER BY \"at\"")
    order = [row["state"] for row in rows]
    assert order[0] == order[-1] == "up" and "away" in order
    away = rows[order.index("away")]
    assert away["load"] is None and away["latency"] is None and away["error"]


def frozen(fleet: Fleet, name: str, what: str) -> list[int]:
    """Processes of a node that are one of its parts."""
    machine = fleet.nodes[name].machine
    if what == "agent":
        return [pid for pid in [fleet.nodes[name].agent_pid()] if pid is not None]
    if what == "session":
        return machine.session_pids()
    command = {}
    for pid in machine.processes():
        with contextlib.suppress(OSError):  # it has ended
            command[pid] = Path(f"/proc/{pid}/cmdline").read_bytes()
    agent = fleet.nodes[name].agent_pid()
    return [pid for pid, words in command.items() if words.endswith(b"\0relay\0") and pid != agent]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("part", ["agent", pytest.param("relay", marks=pytest.mark.long), "session"])
def test_a_part_that_is_frozen_is_noticed(workbench: Workbench, fleet: Fleet, part: str) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 6), *near.words, *far.words, env=env)
    until_running(workbench, 3)
    pids = frozen(fleet, "far", part)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until_away(workbench, "far")
    if part == "agent":  # the others have a new one in their place at once
        node = listed(workbench, "far")
        assert node["state"] == "away" and node["error"].startswith("its agent has not answered for ")
        assert "lost in" in workbench("nodes", env=env, code=None).out
        go(workbench)
        until(lambda: states(workbench).get("done", 0) >= 1, 60)
        assert listed(workbench, "far")["state"] == "away"
    else:
        until(lambda: listed(workbench, "far")["state"] == "up", 60)
        go(workbench)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    assert run.wait(120) == 0
    assert {task["attempts"] for task in workbench.tasks() if task["state"] == "done"} == {1}
    assert sorted(set(ran(workbench))) == ran(workbench)


@pytest.mark.slow
@pytest.mark.fault
def test_what_a_frozen_agent_had_runs_elsewhere_and_counts_once(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("near", slots=1)
    fleet.node("far", slots=2, lost_after=3)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 6), "--cluster", fleet.cluster_file(), env=env)
    until_running(workbench, 3)
    pid = fleet.nodes["far"].agent_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    go(workbench)
    assert run.wait(120) == 0
    assert states(workbench) == {"done": 6}
    assert {task["node"] for task in workbench.tasks()} == {"near"}
    os.kill(pid, signal.SIGCONT)
    workbench("--run", workbench.folder / "e.yaml", "--cluster", fleet.cluster_file(), env=env)
    assert states(workbench) == {"done": 6}


@pytest.mark.slow
@pytest.mark.fault
def test_a_frozen_agent_on_this_machine_is_waited_for(workbench: Workbench) -> None:
    run = workbench.start("--run", waiting(workbench, 3), "--node", "localhost", 1)
    until_running(workbench, 1)
    lock = next(Path(f"/tmp/tui-lab-{os.getuid()}").glob(f"{workbench.lab.identity}-*/lock"))
    pid = int(lock.read_text())
    os.kill(pid, signal.SIGSTOP)
    until_away(workbench, "localhost")
    assert "its agent has not answered for" in workbench("nodes", code=None).out
    os.kill(pid, signal.SIGCONT)
    go(workbench)
    assert run.wait(60) == 0
    assert ran(workbench) == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.fault
def test_a_node_becomes_lost_and_that_is_sampled(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("near", slots=1)
    fleet.node("far", slots=1, lost_after=0.5)
    run = workbench.start(
        "--run", waiting(workbench, 2), "--cluster", fleet.cluster_file(), env=fleet.environment(workbench)
    )
    until_running(workbench, 2)
    fleet.power_off("far")
    until(lambda: any(event["state"] == "lost" for event in workbench.events("finished")), 60)
    said = workbench("nodes", code=None).out
    assert "lost, away for" in said
    go(workbench)
    assert run.wait(60) == 0
    assert workbench("nodes", code=None).out.startswith("no engine is running")
    rows = table(workbench, fleet, "SELECT state FROM nodes WHERE node = 'far' ORDER BY \"at\"")
    assert [row["state"] for row in rows if row["state"] != "up"] == ["away", "lost"]


@pytest.mark.slow
def test_stop_says_what_is_out_of_reach_and_the_engine_sees_to_it(workbench: Workbench, fleet: Fleet) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 5), *near.words, *far.words, env=env)
    until_running(workbench, 3)
    fleet.stop("far")
    until_away(workbench, "far")
    stopped = workbench("stop", env=env)
    assert "e: stopping 5 tasks" in stopped.err
    assert "tasks on far, which is away" in stopped.err and "stopped as soon as it is back" in stopped.err
    assert "The engine tries until" in stopped.err and "`tui-lab nodes`" in stopped.err
    assert "near" not in stopped.err
    until(lambda: not running(workbench)["near"], 60)
    said = workbench("nodes", env=env, code=None).out
    assert "will be stopped when it is back" in said and "run elsewhere" not in said
    assert "e: its tasks on far are stopped once the connection is back" in workbench("status", env=env, code=None).out
    assert len([line for line in commands_on(fleet, "far") if "TRUTH" in line or "truth" in line]) >= 2
    fleet.start("far")
    assert run.wait(90) == 0
    assert states(workbench) == {"stopped": 5}
    assert len(ran(workbench)) == 3
    until(lambda: not leftovers(fleet))


def interrupted(workbench: Workbench, fleet: Fleet, run: Any) -> str:
    """What a follower says to two Ctrl-C while `far` is away; it leaves."""
    until_away(workbench, "far")
    run.send_signal(signal.SIGTERM)  # counts as two
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    return str(said)


@pytest.mark.slow
def test_ctrl_c_twice_leaves_and_the_engine_goes_on_stopping(workbench: Workbench, fleet: Fleet) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workbench)
    words = ["--run", waiting(workbench, 5), *near.words, *far.words]
    run = workbench.start(*words, env=env)
    until_running(workbench, 3)
    fleet.stop("far")
    until_away(workbench, "far")
    run.send_signal(signal.SIGINT)
    assert run.stderr is not None
    lines: list[str] = []
    while not any("Press Ctrl-C again" in line for line in lines):
        lines.append(run.stderr.readline())
        assert lines[-1]
    assert run.poll() is None  # what runs may finish, also there
    run.send_signal(signal.SIGINT)
    said = run.stderr.read()
    assert run.wait(60) == 130
    assert "Left. All reachable tasks are stopped" in said
    assert "tasks on far, which is away" in said and "`tui-lab nodes`" in said
    assert running(workbench)["near"] == 0 and running(workbench)["far"] == 2
    assert workbench.engine_pid() is not None
    fleet.start("far")
    until(lambda: workbench.engine_pid() is None, 60)
    assert states(workbench) == {"pending": 5}
    until(lambda: not leftovers(fleet))
    go(workbench)
    workbench.process(*words, env=env)
    assert states(workbench) == {"done": 5}


def test_what_was_interrupted_out_of_reach_and_is_asked_for_again_goes_on(workbench: Workbench, fleet: Fleet) -> None:
    far = fleet.node("far", slots=2)
    env = fleet.environment(workbench)
    words = ["--run", waiting(workbench, 2), *far.words]
    run = workbench.start(*words, env=env)
    until_running(workbench, 2)
    fleet.stop("far")
    interrupted(workbench, fleet, run)
    again = workbench.start(*words, env=env)
    until(lambda: len(workbench.events("submitted")) == 2 or workbench.events("resumed"), 60)
    fleet.start("far")
    until(lambda: listed(workbench, "far")["state"] == "up", 60)
    go(workbench)
    assert again.wait(60) == 0
    assert states(workbench) == {"done": 2}
    assert ran(workbench) == [0, 1]


@pytest.mark.slow
@pytest.mark.fault
def test_a_stop_that_waits_for_a_node_outlives_the_engine(workbench: Workbench, fleet: Fleet) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 2), *far.words, env=env)
    until_running(workbench, 2)
    fleet.stop("far")
    until_away(workbench, "far")
    assert "2 tasks on far, which is away" in workbench("stop", env=env, code=None).err
    run.send_signal(signal.SIGKILL)
    run.wait()
    engine = workbench.engine_pid()
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    fleet.start("far")
    other = workbench.write("other.yaml", "name: other\ncommand: 'true'\n")
    workbench("--run", other, *near.words, env=env)
    until(lambda: states(workbench) == {"stopped": 2}, 60)
    until(lambda: not leftovers(fleet))
    assert ran(workbench) == [0, 1]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("how", ["interrupt", pytest.param("stop", marks=pytest.mark.long)])
def test_what_is_stopped_on_a_node_that_never_returns_runs_nowhere_else(
    workbench: Workbench, fleet: Fleet, how: str
) -> None:
    fleet.node("near", slots=1)
    fleet.node("far", slots=2, lost_after=10)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 3), "--cluster", fleet.cluster_file(), env=env)
    until_running(workbench, 3)
    fleet.power_off("far")
    if how == "interrupt":
        assert "tasks on far, which is away" in interrupted(workbench, fleet, run)
    else:
        until_away(workbench, "far")
        assert "which is away" in workbench("stop", env=env, code=None).err
        assert run.wait(90) == 0
    until(lambda: workbench.engine_pid() is None, 90)
    assert states(workbench) == {"pending" if how == "interrupt" else "stopped": 3}
    assert ran(workbench) == [0, 1, 2]
    assert {event["reason"] for event in workbench.events("finished")} <= {"stopped", "node-lost"}


@pytest.mark.slow
@pytest.mark.fault
def test_a_lost_node_that_returns_after_an_interrupt_is_told_to_stop(workbench: Workbench, fleet: Fleet) -> None:
    near = fleet.node("near", slots=1)
    fleet.node("far", slots=2, lost_after=10)
    env = fleet.environment(workbench)
    entry = {key: value for key, value in fleet.nodes["far"].entry.items() if value != []}
    cluster = workbench.write("far.yaml", json.dumps({"name": "c", "nodes": [entry]}))
    other = workbench.start("--run", waiting(workbench, 1, "f"), *near.words, env=env)  # the engine lives on
    until_running(workbench, 1, "f")
    run = workbench.start("--run", waiting(workbench, 2), "--cluster", cluster, env=env)
    until_running(workbench, 2)
    fleet.stop("far")
    interrupted(workbench, fleet, run)
    until(lambda: workbench.events("ended"), 90)
    assert states(workbench) == {"pending": 2}
    fleet.start("far")
    until(lambda: not [line for line in commands_on(fleet, "far") if "sleep" in line], 60)
    assert states(workbench) == {"pending": 2}
    go(workbench)
    assert other.wait(60) == 0
    workbench("--run", workbench.folder / "e.yaml", "--cluster", cluster, env=env)
    assert states(workbench) == {"done": 2}


@pytest.mark.slow
def test_a_short_run_leaves_what_is_known_of_its_nodes(workbench: Workbench, fleet: Fleet) -> None:
    tower = fleet.node("tower", slots=3)
    env = fleet.environment(workbench)
    file = workbench.write("e.yaml", "name: e\ncommand: 'true'\n")
    workbench("--run", file, *tower.words, env=env)
    until(lambda: workbench.engine_pid() is None, 60)
    said = workbench("nodes", env=env, code=None).out.splitlines()
    assert said[0] == "no engine is running; the last known state of its nodes:"
    assert said[1].split()[:5] == ["node", "state", "slots", "cores", "Python"] and said[1].endswith("seen")
    assert said[2].split()[:2] == ["tower", "up"] and said[2].endswith("ago")
    row = table(workbench, fleet, "SELECT * FROM nodes LIMIT 1")[0]
    assert row["cores"] > 0 and row["memory"] > 0 and row["python"].startswith("3.") and row["latency"] > 0
