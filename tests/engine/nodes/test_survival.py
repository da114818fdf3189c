"""Connections that break, nodes that go for good, engines that are killed: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.test_runs import (
    commands_on,
    effects,
    go,
    leftovers,
    remove_truth,
    table,
    truth_folder,
    write,
)
from tests.workbench import Workbench, until

__all__ = ["remove_truth"]

COUNTED = """\
name: e
command: 'echo "$TUI_LAB_ATTEMPT" >> TRUTH_FOLDER/{task_id}; sleep {pause}; echo value {task_id}'
parameters: {pause: [PAUSE]}
repeat: REPEAT
metrics: {value: 'value (@int@)'}
"""


def counted(workbench: Workbench, repeat: int, pause: float) -> Path:
    return write(workbench, COUNTED.replace("REPEAT", str(repeat)).replace("PAUSE", str(pause)))


def done(workbench: Workbench) -> int:
    return sum(1 for event in workbench.events("finished") if event["state"] == "done")


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("shared", [True, False])
def test_connections_are_cut_again_and_again(workbench: Workbench, fleet: Fleet, shared: bool) -> None:
    node = fleet.node("tower", slots=4, shared=shared)
    run = workbench.start("--run", counted(workbench, 60, 0.1), *node.words, env=fleet.environment(workbench))
    for count in (5, 20, 40):
        until(lambda: done(workbench) >= count, 60)
        fleet.kill_sessions("tower")
    assert run.wait(60) == 0
    assert effects(workbench) == dict.fromkeys(range(60), 1)
    assert Counter(task["state"] for task in workbench.tasks()) == {"done": 60}
    assert {task["attempts"] for task in workbench.tasks()} == {1}
    until(lambda: not leftovers(fleet))


@pytest.mark.slow
@pytest.mark.fault
def test_the_network_falls_silent_and_comes_back(workbench: Workbench, fleet: Fleet) -> None:
    node = fleet.node("far", slots=2, shared=False, droppable=True)
    run = workbench.start("--run", counted(workbench, 30, 0.2), *node.words, env=fleet.environment(workbench))
    until(lambda: done(workbench) >= 4, 60)
    fleet.drop("far")
    status = workbench.lab_path / "engine.log"
    until(lambda: "node far" in status.read_text(), 60)  # it has noticed
    fleet.restore("far")
    assert run.wait(90) == 0
    assert effects(workbench) == dict.fromkeys(range(30), 1)
    assert {task["attempts"] for task in workbench.tasks()} == {1}


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("shared", [True, False])
def test_the_engine_is_killed_and_another_goes_on(workbench: Workbench, fleet: Fleet, shared: bool) -> None:
    node = fleet.node("tower", slots=2, shared=shared)
    run = workbench.start("--run", counted(workbench, 40, 0.1), *node.words, env=fleet.environment(workbench))
    for count in (4, 16):
        until(lambda: done(workbench) >= count, 60)
        workbench.kill_engine()
    assert run.wait(90) == 0
    assert effects(workbench) == dict.fromkeys(range(40), 1)
    assert [workbench.output(task) for task in range(40)] == [f"value {task}\n" for task in range(40)]


@pytest.mark.slow
@pytest.mark.fault
def test_all_nodes_gone_for_good_ends_the_run(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("only", slots=2, lost_after=0.5)
    words = ["--cluster", fleet.cluster_file()]
    run = workbench.start("--run", counted(workbench, 30, 0.2), *words, env=fleet.environment(workbench))
    until(lambda: done(workbench) >= 2, 60)
    fleet.power_off("only")
    _, said = run.communicate(timeout=90)
    assert run.returncode == 3, said
    assert "node only" in said
    fleet.start("only")
    workbench("--run", workbench.folder / "e.yaml", *words, env=fleet.environment(workbench))
    assert Counter(task["state"] for task in workbench.tasks()) == {"done": 30}


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("shared", [True, False])
def test_a_lost_node_returns_with_the_first_result(workbench: Workbench, fleet: Fleet, shared: bool) -> None:
    text = """\
        name: e
        command: |
          echo $TUI_LAB_NODE >> TRUTH_FOLDER/{task_id}
          while ! test -e TRUTH_FOLDER/go-$TUI_LAB_NODE; do sleep 0.05; done
          echo from $TUI_LAB_NODE
        """
    fleet.node("away", slots=1, shared=shared, droppable=True, lost_after=0.5)
    words = ["--cluster", fleet.cluster_file()]
    env = fleet.environment(workbench)
    run = workbench.start("--run", write(workbench, text), *words, env=env)
    until(lambda: workbench.events("started"), 60)
    other = fleet.node("other", slots=1)
    workbench("nodes", "add", *other.words, env=env)
    fleet.drop("away")
    until(lambda: len(workbench.events("started")) == 2, 60)  # on the other node
    (truth_folder(workbench) / "go-away").touch()
    fleet.restore("away")
    assert run.wait(60) == 0
    task = workbench.tasks()[0]
    assert (task["state"], task["attempt"], task["attempts"]) == ("done", 1, 2)
    assert workbench.output(0) == "from away\n"
    assert sorted((truth_folder(workbench) / "0").read_text().split()) == ["away", "other"]
    assert not [line for line in commands_on(fleet, "other") if "TRUTH" in line or "go-" in line]
    (truth_folder(workbench) / "go-other").touch()


@pytest.mark.slow
def test_a_node_that_fails_what_others_do_is_quarantined(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: 'test $TUI_LAB_NODE = good || exit 3; sleep 0.3; echo ok'
        repeat: 30
        """
    good, bad = fleet.node("good", slots=2), fleet.node("bad", slots=2)
    file = write(workbench, text)
    workbench("--run", file, *good.words, *bad.words, env=fleet.environment(workbench))
    tasks = workbench.tasks()
    assert Counter(task["state"] for task in tasks) == {"done": 30}
    assert {task["node"] for task in tasks} == {"good"}
    event = workbench.events("quarantined")[0]
    assert event["node"] == "bad"
    # the only node is never taken out, nor are all of them
    second = write(workbench, text.replace("name: e", "name: f").replace("repeat: 30", "repeat: 8"), "f.yaml")
    workbench("--run", second, *bad.words, "--keep-going", env=fleet.environment(workbench), code=1)
    assert Counter(task["state"] for task in workbench.tasks("f")) == {"failed": 8}


@pytest.mark.fault
def test_a_backlog_is_worked_off_while_nobody_is_there(workbench: Workbench, fleet: Fleet) -> None:
    node = fleet.node("tower", slots=2, ahead=40)
    words = ["--cluster", fleet.cluster_file()]
    run = workbench.start("--run", counted(workbench, 40, 0.1), *words, env=fleet.environment(workbench))
    until(lambda: done(workbench) >= 2, 60)
    engine = workbench.engine_pid()
    assert engine is not None
    os.kill(engine, signal.SIGSTOP)  # the laptop sleeps
    try:
        until(lambda: len(effects(workbench)) == 40, 60)
    finally:
        os.kill(engine, signal.SIGCONT)
    assert run.wait(60) == 0
    assert effects(workbench) == dict.fromkeys(range(40), 1)
    assert node.entry["ahead"] == 40


@pytest.mark.slow
@pytest.mark.fault
def test_everything_at_once(workbench: Workbench, fleet: Fleet, request: pytest.FixtureRequest) -> None:
    """Three nodes and this machine; one sshd is killed and started again, one node goes for good, the engine is
    killed twice."""
    count = 2000 if request.config.getoption("--long") else 400
    fleet.node("one", slots=3)
    fleet.node("two", slots=3, shared=False)
    fleet.node("doomed", slots=2, lost_after=1)
    cluster = fleet.cluster_file()
    cluster.write_text(cluster.read_text() + "- {name: here, slots: 2}\n")
    file = counted(workbench, count, 0.02)
    wait = f"until test {{task_id}} -lt {count * 7 // 10} -o -e {truth_folder(workbench)}/go; do sleep 0.05; done"
    file.write_text(file.read_text().replace("sleep {pause};", f"sleep {{pause}}; {wait};"))  # it does not end before
    run = workbench.start("--run", file, "--cluster", cluster, env=fleet.environment(workbench))
    acts: list[Callable[[], object]] = [
        workbench.kill_engine,
        lambda: fleet.stop("one"),
        lambda: fleet.start("one"),
        lambda: fleet.power_off("doomed"),
        lambda: fleet.kill_sessions("two"),
        workbench.kill_engine,
    ]
    for number, act in enumerate(acts, 1):
        until(lambda: done(workbench) >= count * number // 10, 120)
        act()
    go(workbench)
    assert run.wait(300) == 0
    tasks = workbench.tasks()
    assert Counter(task["state"] for task in tasks) == {"done": count}
    lost = {event["task"] for event in workbench.events("finished") if event["state"] == "lost"}
    counts = effects(workbench)
    assert {task: n for task, n in counts.items() if n != 1 and task not in lost} == {}
    assert set(counts) == set(range(count))
    rows = table(workbench, fleet, "SELECT task_id, value FROM e ORDER BY task_id")
    assert rows == [{"task_id": task, "value": task} for task in range(count)]
    del fleet.nodes["doomed"]
    until(lambda: not leftovers(fleet))
