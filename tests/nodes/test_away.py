"""Nodes that are away: how that is told, and what becomes of tasks that are to be stopped there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.bench import Bench
from tests.conftest import Workshop, until
from tests.nodes.fleet import Fleet
from tests.nodes.test_runs import commands_on, go, leftovers, remove_truth, running, states, table, truth_folder, write

__all__ = ["remove_truth"]

WAITS = """\
name: NAME
command: 'echo {task_id} >> TRUTH_FOLDER/ran; while ! test -e TRUTH_FOLDER/go; do sleep 0.05; done'
repeat: REPEAT
grace: 1
"""


def waiting(workshop: Workshop, repeat: int, name: str = "e") -> Path:
    """An experiment whose tasks wait for a file."""
    return write(workshop, WAITS.replace("NAME", name).replace("REPEAT", str(repeat)), f"{name}.yaml")


def ran(workshop: Workshop) -> list[int]:
    """The tasks that really began, as often as they did."""
    return sorted(map(int, (truth_folder(workshop) / "ran").read_text().split()))


def listed(workshop: Workshop, name: str) -> dict[str, Any]:
    """A node as `tui-lab nodes --json` has it."""
    nodes = Bench(workshop.folder)("nodes", "--json").json()["nodes"]
    return next((node for node in nodes if node["name"] == name), {})


def until_running(workshop: Workshop, count: int, name: str = "e") -> None:
    until(lambda: len(workshop.events("started", name)) >= count, 60)


def until_away(workshop: Workshop, name: str) -> None:
    """The engine has noticed."""
    until(lambda: f"WARNING node {name}:" in (workshop.lab_path / "engine.log").read_text(), 60)


@pytest.mark.parametrize("silent", [False, True])
def test_a_node_that_is_away_shows_since_when_and_no_old_samples(
    workshop: Workshop, fleet: Fleet, silent: bool
) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2, droppable=True)
    env = fleet.environment(workshop)
    run = workshop.start("--run", waiting(workshop, 3), *near.words, *far.words, env=env)
    until_running(workshop, 3)
    until(lambda: "load" in listed(workshop, "far"), 60)
    assert listed(workshop, "far")["at"] is not None
    fleet.drop("far") if silent else fleet.stop("far")
    until_away(workshop, "far")
    node = listed(workshop, "far")
    assert node["state"] == "away" and node["error"]
    assert 0 <= node["away_for"] < node["lost_in"] + node["away_for"] <= 600
    assert not {"load", "memory_used", "latency", "clock_offset"} & set(node)
    assert (node["cores"] or 0) > 0 and node["memory"] > 0
    for words in (["nodes"], ["status"], ["status", "--nodes"]):
        said = workshop.call(*words, env=env).stdout
        assert "away for" in said and "lost in " in said and "then its 2 tasks run elsewhere" in said, said
    assert "far had e/" in said
    fleet.restore("far") if silent else fleet.start("far")
    until(lambda: listed(workshop, "far")["state"] == "up", 60)
    assert "away for" not in workshop.call("nodes", env=env).stdout
    go(workshop)
    assert run.wait(60) == 0
    assert ran(workshop) == [0, 1, 2]
    rows = table(workshop, fleet, "SELECT state, load, latency, error FROM nodes WHERE node = 'far' ORDER BY \"at\"")
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
    command = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in machine.processes()}
    agent = fleet.nodes[name].agent_pid()
    return [pid for pid, words in command.items() if words.endswith(b"\0relay\0") and pid != agent]


@pytest.mark.parametrize("part", ["agent", "relay", "session"])
def test_a_part_that_is_frozen_is_noticed(workshop: Workshop, fleet: Fleet, part: str) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workshop)
    run = workshop.start("--run", waiting(workshop, 6), *near.words, *far.words, env=env)
    until_running(workshop, 3)
    pids = frozen(fleet, "far", part)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until_away(workshop, "far")
    if part == "agent":  # the others have a new one in their place at once
        node = listed(workshop, "far")
        assert node["state"] == "away" and node["error"].startswith("its agent has not answered for ")
        assert "lost in" in workshop.call("nodes", env=env).stdout
        go(workshop)
        until(lambda: states(workshop).get("done", 0) >= 1, 60)
        assert listed(workshop, "far")["state"] == "away"
    else:
        until(lambda: listed(workshop, "far")["state"] == "up", 60)
        go(workshop)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    assert run.wait(120) == 0
    assert {task["attempts"] for task in workshop.tasks() if task["state"] == "done"} == {1}
    assert sorted(set(ran(workshop))) == ran(workshop)


def test_what_a_frozen_agent_had_runs_elsewhere_and_counts_once(workshop: Workshop, fleet: Fleet) -> None:
    fleet.node("near", slots=1)
    fleet.node("far", slots=2, lost_after=3)
    env = fleet.environment(workshop)
    run = workshop.start("--run", waiting(workshop, 6), "--cluster", fleet.cluster_file(), env=env)
    until_running(workshop, 3)
    pid = fleet.nodes["far"].agent_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    go(workshop)
    assert run.wait(120) == 0
    assert states(workshop) == {"done": 6}
    assert {task["node"] for task in workshop.tasks()} == {"near"}
    os.kill(pid, signal.SIGCONT)
    assert (
        workshop.call("--run", workshop.folder / "e.yaml", "--cluster", fleet.cluster_file(), env=env).returncode == 0
    )
    assert states(workshop) == {"done": 6}


def test_a_frozen_agent_on_this_machine_is_waited_for(workshop: Workshop) -> None:
    run = workshop.start("--run", waiting(workshop, 3), "--node", "localhost", 1)
    until_running(workshop, 1)
    lock = next(Path(f"/tmp/tui-lab-{os.getuid()}").glob(f"{workshop.lab.identity}-*/lock"))
    pid = int(lock.read_text())
    os.kill(pid, signal.SIGSTOP)
    until_away(workshop, "localhost")
    assert "its agent has not answered for" in workshop.call("nodes").stdout
    os.kill(pid, signal.SIGCONT)
    go(workshop)
    assert run.wait(60) == 0
    assert ran(workshop) == [0, 1, 2]


def test_a_node_becomes_lost_and_that_is_sampled(workshop: Workshop, fleet: Fleet) -> None:
    fleet.node("near", slots=1)
    fleet.node("far", slots=1, lost_after=0.5)
    run = workshop.start(
        "--run", waiting(workshop, 2), "--cluster", fleet.cluster_file(), env=fleet.environment(workshop)
    )
    until_running(workshop, 2)
    fleet.power_off("far")
    until(lambda: any(event["state"] == "lost" for event in workshop.events("finished")), 60)
    said = workshop.call("nodes").stdout
    assert "lost, away for" in said
    go(workshop)
    assert run.wait(60) == 0
    assert workshop.call("nodes").stdout.startswith("no engine is running")
    rows = table(workshop, fleet, "SELECT state FROM nodes WHERE node = 'far' ORDER BY \"at\"")
    assert [row["state"] for row in rows if row["state"] != "up"] == ["away", "lost"]


def test_stop_says_what_is_out_of_reach_and_the_engine_sees_to_it(workshop: Workshop, fleet: Fleet) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workshop)
    run = workshop.start("--run", waiting(workshop, 5), *near.words, *far.words, env=env)
    until_running(workshop, 3)
    fleet.stop("far")
    until_away(workshop, "far")
    stopped = workshop.call("stop", env=env)
    assert stopped.returncode == 0
    assert "e: stopping 5 tasks" in stopped.stderr
    assert "tasks on far, which is away" in stopped.stderr and "stopped as soon as it is back" in stopped.stderr
    assert "The engine tries until" in stopped.stderr and "`tui-lab nodes`" in stopped.stderr
    assert "near" not in stopped.stderr
    until(lambda: not running(workshop)["near"], 60)
    said = workshop.call("nodes", env=env).stdout
    assert "will be stopped when it is back" in said and "run elsewhere" not in said
    assert "e: its tasks on far are stopped once that can be reached again" in workshop.call("status", env=env).stdout
    assert len([line for line in commands_on(fleet, "far") if "TRUTH" in line or "truth" in line]) >= 2
    fleet.start("far")
    assert run.wait(90) == 0
    assert states(workshop) == {"stopped": 5}
    assert len(ran(workshop)) == 3
    until(lambda: not leftovers(fleet))


def interrupted(workshop: Workshop, fleet: Fleet, run: Any) -> str:
    """What a follower says to two Ctrl-C while `far` is away; it leaves."""
    until_away(workshop, "far")
    run.send_signal(signal.SIGTERM)  # counts as two
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    return str(said)


def test_ctrl_c_twice_leaves_and_the_engine_goes_on_stopping(workshop: Workshop, fleet: Fleet) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workshop)
    words = ["--run", waiting(workshop, 5), *near.words, *far.words]
    run = workshop.start(*words, env=env)
    until_running(workshop, 3)
    fleet.stop("far")
    until_away(workshop, "far")
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
    assert "Left. What could be reached has been stopped" in said
    assert "tasks on far, which is away" in said and "`tui-lab nodes`" in said
    assert running(workshop)["near"] == 0 and running(workshop)["far"] == 2
    assert workshop.engine_pid() is not None
    fleet.start("far")
    until(lambda: workshop.engine_pid() is None, 60)
    assert states(workshop) == {"pending": 5}
    until(lambda: not leftovers(fleet))
    go(workshop)
    assert workshop.call(*words, env=env).returncode == 0
    assert states(workshop) == {"done": 5}


def test_what_was_interrupted_out_of_reach_and_is_asked_for_again_goes_on(workshop: Workshop, fleet: Fleet) -> None:
    far = fleet.node("far", slots=2)
    env = fleet.environment(workshop)
    words = ["--run", waiting(workshop, 2), *far.words]
    run = workshop.start(*words, env=env)
    until_running(workshop, 2)
    fleet.stop("far")
    interrupted(workshop, fleet, run)
    again = workshop.start(*words, env=env)
    until(lambda: len(workshop.events("submitted")) == 2 or workshop.events("resumed"), 60)
    fleet.start("far")
    until(lambda: listed(workshop, "far")["state"] == "up", 60)
    go(workshop)
    assert again.wait(60) == 0
    assert states(workshop) == {"done": 2}
    assert ran(workshop) == [0, 1]


def test_a_stop_that_waits_for_a_node_outlives_the_engine(workshop: Workshop, fleet: Fleet) -> None:
    near, far = fleet.node("near", slots=1), fleet.node("far", slots=2)
    env = fleet.environment(workshop)
    run = workshop.start("--run", waiting(workshop, 2), *far.words, env=env)
    until_running(workshop, 2)
    fleet.stop("far")
    until_away(workshop, "far")
    assert "2 tasks on far, which is away" in workshop.call("stop", env=env).stderr
    run.send_signal(signal.SIGKILL)
    run.wait()
    engine = workshop.engine_pid()
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    fleet.start("far")
    other = workshop.write("other.yaml", "name: other\ncommand: 'true'\n")
    assert workshop.call("--run", other, *near.words, env=env).returncode == 0
    until(lambda: states(workshop) == {"stopped": 2}, 60)
    until(lambda: not leftovers(fleet))
    assert ran(workshop) == [0, 1]


@pytest.mark.parametrize("how", ["interrupt", "stop"])
def test_what_is_stopped_on_a_node_that_never_returns_runs_nowhere_else(
    workshop: Workshop, fleet: Fleet, how: str
) -> None:
    fleet.node("near", slots=1)
    fleet.node("far", slots=2, lost_after=10)
    env = fleet.environment(workshop)
    run = workshop.start("--run", waiting(workshop, 3), "--cluster", fleet.cluster_file(), env=env)
    until_running(workshop, 3)
    fleet.power_off("far")
    if how == "interrupt":
        assert "tasks on far, which is away" in interrupted(workshop, fleet, run)
    else:
        until_away(workshop, "far")
        assert "which is away" in workshop.call("stop", env=env).stderr
        assert run.wait(90) == 0
    until(lambda: workshop.engine_pid() is None, 90)
    assert states(workshop) == {"pending" if how == "interrupt" else "stopped": 3}
    assert ran(workshop) == [0, 1, 2]
    assert {event["reason"] for event in workshop.events("finished")} <= {"stopped", "node-lost"}


def test_a_lost_node_that_returns_after_an_interrupt_is_told_to_stop(workshop: Workshop, fleet: Fleet) -> None:
    near = fleet.node("near", slots=1)
    fleet.node("far", slots=2, lost_after=10)
    env = fleet.environment(workshop)
    entry = {key: value for key, value in fleet.nodes["far"].entry.items() if value != []}
    cluster = workshop.write("far.yaml", json.dumps({"name": "c", "nodes": [entry]}))
    other = workshop.start("--run", waiting(workshop, 1, "f"), *near.words, env=env)  # the engine lives on
    until_running(workshop, 1, "f")
    run = workshop.start("--run", waiting(workshop, 2), "--cluster", cluster, env=env)
    until_running(workshop, 2)
    fleet.stop("far")
    interrupted(workshop, fleet, run)
    until(lambda: workshop.events("ended"), 90)
    assert states(workshop) == {"pending": 2}
    fleet.start("far")
    until(lambda: not [line for line in commands_on(fleet, "far") if "sleep" in line], 60)
    assert states(workshop) == {"pending": 2}
    go(workshop)
    assert other.wait(60) == 0
    assert workshop.call("--run", workshop.folder / "e.yaml", "--cluster", cluster, env=env).returncode == 0
    assert states(workshop) == {"done": 2}


def test_a_short_run_leaves_what_is_known_of_its_nodes(workshop: Workshop, fleet: Fleet) -> None:
    tower = fleet.node("tower", slots=3)
    env = fleet.environment(workshop)
    file = workshop.write("e.yaml", "name: e\ncommand: 'true'\n")
    assert workshop.call("--run", file, *tower.words, env=env).returncode == 0
    until(lambda: workshop.engine_pid() is None, 60)
    said = workshop.call("nodes", env=env).stdout.splitlines()
    assert said[0] == "no engine is running; its nodes when they were seen last:"
    assert said[1].split()[:5] == ["node", "state", "slots", "cores", "Python"] and said[1].endswith("seen")
    assert said[2].split()[:2] == ["tower", "up"] and said[2].endswith("ago")
    row = table(workshop, fleet, "SELECT * FROM nodes LIMIT 1")[0]
    assert row["cores"] > 0 and row["memory"] > 0 and row["python"].startswith("3.") and row["latency"] > 0
