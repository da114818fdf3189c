"""Corners of runs on several machines: where two things happen at once, or something is gone that was counted on."""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from pathlib import Path

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.test_runs import commands_on, go, leftovers, remove_truth, running, states, truth_folder, write
from tests.workbench import Workbench, until

__all__ = ["remove_truth"]

WAITS = "name: NAME\ncommand: 'while ! test -e TRUTH_FOLDER/go; do sleep 0.05; done'\nrepeat: 4\n"


def waiting(workbench: Workbench, name: str = "e") -> Path:
    """An experiment whose tasks wait for a file."""
    return write(workbench, WAITS.replace("NAME", name), f"{name}.yaml")


def engine_log(workbench: Workbench) -> str:
    return (workbench.lab_path / "engine.log").read_text()


@pytest.mark.slow
def test_the_next_attempt_finds_what_the_one_before_has_left(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: |
          if [ {attempt} = 1 ]; then
            mkdir {output}/deep; echo half-{task_id} > {output}/deep/checkpoint; head -c 200000 /dev/zero > {output}/big
            exit 3
          fi
          cat {output}/deep/checkpoint; wc -c < {output}/big
        repeat: 6
        retries: 1
        """
    one, two = fleet.node("one", slots=2, shared=False), fleet.node("two", slots=2, shared=False)
    env = fleet.environment(workbench)
    workbench("--run", write(workbench, text), *one.words, *two.words, "--keep-going", env=env)
    for task in range(6):
        assert workbench.output(task, "stdout.2") == f"half-{task}\n200000\n"
    until(lambda: not leftovers(fleet))


@pytest.mark.slow
@pytest.mark.fault
def test_what_is_stopped_while_its_node_is_away_stays_stopped(workbench: Workbench, fleet: Fleet) -> None:
    far = fleet.node("far", slots=2, droppable=True)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench), *far.words, env=env)
    until(lambda: len(workbench.events("started")) == 2, 60)
    fleet.drop("far")
    until(lambda: "node far" in engine_log(workbench), 60)
    workbench("stop", "e", env=env)
    fleet.power_off("far")  # nothing of it is left when it is back
    fleet.start("far")
    assert run.wait(90) == 0
    assert states(workbench) == {"stopped": 4}
    assert max(task["attempts"] for task in workbench.tasks()) == 1


@pytest.mark.slow
def test_failures_on_a_node_in_quarantine_never_count(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: |
          if [ $TUI_LAB_NODE = good ]; then sleep 0.3; exit; fi
          test {task_id} -lt 8 || while ! test -e TRUTH_FOLDER/go; do sleep 0.05; done
          exit 3
        repeat: 24
        """
    good, bad = fleet.node("good", slots=1), fleet.node("bad", slots=12)
    env = fleet.environment(workbench)
    run = workbench.start("--run", write(workbench, text), *bad.words, *good.words, env=env)
    until(lambda: workbench.events("quarantined"), 60)
    go(workbench)
    assert run.wait(90) == 0
    assert states(workbench) == {"done": 24}
    assert {task["node"] for task in workbench.tasks()} == {"good"}


@pytest.mark.slow
def test_a_person_ends_a_quarantine(workbench: Workbench, fleet: Fleet) -> None:
    text = """\
        name: e
        command: |
          test $TUI_LAB_NODE = good && sleep 0.3 && exit
          test -e TRUTH_FOLDER/go || exit 3
        repeat: 200
        """
    good, bad = fleet.node("good", slots=1), fleet.node("bad", slots=2)
    env = fleet.environment(workbench)
    run = workbench.start("--run", write(workbench, text), *good.words, *bad.words, env=env)
    until(lambda: workbench.events("quarantined"), 60)
    go(workbench)
    workbench("nodes", "resume", "bad", env=env)
    assert run.wait(90) == 0
    assert states(workbench) == {"done": 200}
    assert Counter(task["node"] for task in workbench.tasks())["bad"] > 100


def test_a_suspected_node_goes_on_where_no_other_could_show_better(workbench: Workbench, fleet: Fleet) -> None:
    text = "name: e\ncommand: 'exit 3'\nrepeat: 8\nneeds: {memory: 2G}\n"
    able, small = fleet.node("able", slots=2, memory="4G"), fleet.node("small", slots=2, memory="1G")
    words = ["--cluster", fleet.cluster_file()]
    workbench("--run", write(workbench, text), *words, "--keep-going", env=fleet.environment(workbench), code=1)
    assert states(workbench) == {"failed": 8}
    assert {task["node"] for task in workbench.tasks()} == {"able"}
    assert able.name and small.name


def test_tasks_with_needs_are_spread_over_the_nodes(workbench: Workbench, fleet: Fleet) -> None:
    text = WAITS.replace("NAME", "e") + "needs: {memory: 1G}\n"
    fleet.node("one", slots=8, memory="2G")
    fleet.node("two", slots=8, memory="2G")
    words = ["--cluster", fleet.cluster_file()]
    run = workbench.start("--run", write(workbench, text), *words, env=fleet.environment(workbench))
    until(lambda: running(workbench) == {"one": 2, "two": 2}, 60)
    go(workbench)
    assert run.wait(60) == 0


@pytest.mark.fault
def test_a_run_ends_whose_tasks_fit_only_a_node_that_has_gone(workbench: Workbench, fleet: Fleet) -> None:
    text = "name: e\ncommand: 'sleep 0.2'\nrepeat: 40\nneeds: {memory: 2G}\n"
    fleet.node("large", slots=2, memory="4G", lost_after=0.5)
    fleet.node("small", slots=2, memory="1G")
    words = ["--cluster", fleet.cluster_file()]
    run = workbench.start("--run", write(workbench, text), *words, env=fleet.environment(workbench))
    until(lambda: len(workbench.events("finished")) > 2, 60)
    fleet.power_off("large")
    _, said = run.communicate(timeout=90)
    assert run.returncode == 3
    assert "node large" in said and "the others lack what the tasks need" in said
    assert states(workbench)["pending"] > 0


def test_a_run_ends_when_all_are_gone_but_one_in_quarantine(workbench: Workbench, fleet: Fleet) -> None:
    text = "name: e\ncommand: 'test $TUI_LAB_NODE = good || exit 3; sleep 0.3'\nrepeat: 100\n"
    fleet.node("good", slots=2, lost_after=0.5)
    fleet.node("bad", slots=2)
    words = ["--cluster", fleet.cluster_file()]
    run = workbench.start("--run", write(workbench, text), *words, env=fleet.environment(workbench))
    until(lambda: workbench.events("quarantined"), 60)
    fleet.power_off("good")
    _, said = run.communicate(timeout=90)
    assert run.returncode == 3
    assert "node good" in said and "node bad: in quarantine" in said


@pytest.mark.slow
def test_two_experiments_on_the_same_and_on_other_nodes(workbench: Workbench, fleet: Fleet) -> None:
    one, two, three = (fleet.node(name, slots=2) for name in ("one", "two", "three"))
    env = fleet.environment(workbench)
    first = workbench.start("--run", waiting(workbench), *one.words, *two.words, env=env)
    until(lambda: len(workbench.events("started")) == 4, 60)
    second = workbench.start("--run", waiting(workbench, "f"), *two.words, *three.words, env=env)
    until(lambda: len(workbench.events("started", "f")) == 2, 60)
    assert {task["node"] for task in workbench.tasks("f") if task["state"] == "running"} == {"three"}
    go(workbench)
    assert first.wait(60) == 0 and second.wait(60) == 0
    assert {task["node"] for task in workbench.tasks("f")} <= {"two", "three"}
    for name, nodes in (("e", {"one", "two"}), ("f", {"two", "three"})):
        until(lambda: nodes == {e["node"] for e in workbench.events("environment", name)})
    until(lambda: not leftovers(fleet))


@pytest.mark.slow
def test_a_name_may_stand_for_another_machine_next_time(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("keeper", slots=1)
    fleet.node("old", slots=1, shared=False)
    fleet.node("new", slots=1, shared=False)
    keeper, old, new = (dict(fleet.nodes[name].entry) for name in ("keeper", "old", "new"))
    env = fleet.environment(workbench)
    clusters = {}
    for name, entry in (("old", old), ("new", new)):
        path = workbench.folder / f"{name}-cluster.yaml"
        entry = {key: value for key, value in {**entry, "name": "tower"}.items() if value != []}
        path.write_text(json.dumps({"name": "c", "nodes": [entry]}))
        clusters[name] = path
    running = workbench.start("--run", waiting(workbench), *fleet.nodes["keeper"].words, env=env)  # the engine lives on
    until(lambda: workbench.events("started"), 60)
    text = "name: NAME\ncommand: 'echo $HOME; cat data'\ncode: data\n"
    workbench.write("data", "content\n")
    for name in ("old", "new"):
        file = workbench.write(f"{name}.yaml", text.replace("NAME", name))
        workbench("--run", file, "--cluster", clusters[name], env=env)
        assert workbench.output(0, name=name) == f"{fleet.nodes[name].machine.home}\ncontent\n"
    workbench("--run", waiting(workbench, "g"), "--node", "127.0.0.9", "--detach", env=env)
    go(workbench)
    assert running.wait(60) == 0
    assert keeper["name"] == "keeper"


@pytest.mark.slow
def test_a_node_that_was_given_up_is_tried_again_by_the_next_command(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("tower", slots=2)
    env = fleet.environment(workbench)
    running = workbench.start("--run", waiting(workbench), *fleet.nodes["tower"].words, env=env)  # the engine lives on
    until(lambda: workbench.events("started"), 60)
    stranger = fleet.node("stranger", slots=1, known=False)
    file = workbench.write("f.yaml", "name: f\ncommand: 'true'\n")
    refused = workbench("--run", file, *stranger.words, env=env, code=None)
    assert refused.code == 3 and "host key" in refused.err, refused.err
    fleet.know("stranger")
    workbench("--run", file, *stranger.words, env=env)
    go(workbench)
    assert running.wait(60) == 0


@pytest.mark.slow
@pytest.mark.fault
def test_the_engine_ends_in_the_middle_of_a_transfer(workbench: Workbench, fleet: Fleet) -> None:
    size = 60 << 20
    text = f"name: e\ncommand: 'head -c {size} /dev/zero > {{output}}/big.bin; echo x >> TRUTH_FOLDER/{{task_id}}'\n"
    attic = fleet.node("attic", slots=1, shared=False, latency=0.005)
    env = fleet.environment(workbench)
    run = workbench.start("--run", write(workbench, text), *attic.words, env=env)
    folder = workbench.lab_path / "e" / "tasks" / "0" / "0"
    until(lambda: list(folder.glob("big.bin*")) if folder.exists() else None, 60)
    os.kill(until(workbench.engine_pid), 15)
    assert run.wait(90) == 0
    assert (folder / "big.bin").stat().st_size == size
    assert [path.name for path in sorted(folder.iterdir())] == ["big.bin", "stderr", "stdout"]
    assert (truth_folder(workbench) / "0").read_text() == "x\n"


@pytest.mark.slow
def test_an_experiment_that_is_removed_does_not_come_back(workbench: Workbench, fleet: Fleet) -> None:
    import shutil

    text = "name: e\ncommand: 'head -c 3000000 /dev/zero > {output}/big.bin; sleep 0.1'\nrepeat: 200\n"
    attic = fleet.node("attic", slots=4, shared=False)
    run = workbench.start("--run", write(workbench, text), *attic.words, env=fleet.environment(workbench))
    until(lambda: len(workbench.events("finished")) > 3, 60)
    shutil.rmtree(workbench.lab_path / "e", ignore_errors=True)
    _, said = run.communicate(timeout=60)
    assert "was removed" in said
    until(lambda: workbench.engine_pid() is None, 60)
    assert not (workbench.lab_path / "e" / "journal.jsonl").exists()
    until(lambda: not leftovers(fleet))
    assert not [line for line in commands_on(fleet, "attic") if "big.bin" in line]


@pytest.mark.slow
def test_the_slots_of_a_far_node_always_have_the_next_task(workbench: Workbench, fleet: Fleet) -> None:
    far = fleet.node("far", slots=2, latency=0.02)
    text = "name: e\ncommand: 'sleep 0.05'\nrepeat: 80\n"
    workbench("--run", write(workbench, text), *far.words, env=fleet.environment(workbench))
    handed: set[tuple[int, int]] = set()
    backlog: list[int] = []
    count = 0
    for event in workbench.events():
        if event["event"] == "assigned":
            handed.update(map(tuple, event["attempts"]))
            count += len(event["attempts"])
        elif event["event"] == "finished":
            if count < 80:
                backlog.append(len(handed) - 2)  # besides those that run
            handed.discard((event["task"], event["attempt"]))
    assert statistics.median(backlog) >= 1


def test_samples_tell_when_a_node_has_gone(workbench: Workbench, fleet: Fleet) -> None:
    tower = fleet.node("tower", slots=2)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench), *tower.words, env=env)
    until(lambda: workbench.events("started"), 60)
    fleet.stop("tower")
    samples = workbench.lab_path / "nodes.jsonl"

    def found() -> list[str]:
        return [json.loads(line)["state"] for line in samples.read_text().splitlines()]

    until(lambda: samples.exists() and "away" in found(), 60)
    fleet.start("tower")
    go(workbench)
    assert run.wait(60) == 0
    assert found()[0] == "up"


@pytest.mark.slow
def test_a_step_goes_on_on_another_node_where_all_came_along(workbench: Workbench, fleet: Fleet) -> None:
    """Of an experiment whose first step leaves an empty folder, which does not travel, the next attempt begins anew."""
    text = """\
        name: NAME
        command:
          prepare: 'echo prepared {attempt}; mkdir -p {output}/deep; MORE; echo data-{task_id} > {output}/deep/data'
          train: 'test {attempt} -gt 1; cat {output}/deep/data'
        repeat: 4
        retries: 1
        metrics: {prepared: {pattern: 'prepared (@int@)', from: prepare.stdout, take: sum}}
        """
    one, two = fleet.node("one", slots=2, shared=False), fleet.node("two", slots=2, shared=False)
    env = fleet.environment(workbench)
    for name, more in (("whole", "true"), ("empty", "mkdir -p {output}/empty")):
        changed = text.replace("NAME", name).replace("MORE", more)
        workbench("--run", write(workbench, changed, f"{name}.yaml"), *one.words, *two.words, "--keep-going", env=env)
    assert [row["prepared"] for row in workbench.table("SELECT prepared FROM whole")] == [1] * 4
    assert [row["prepared"] for row in workbench.table("SELECT prepared FROM empty")] == [2] * 4
    assert workbench.output(2, "prepare.stdout.2", "whole") == "prepared 1\n"
    assert workbench.output(2, "train.stdout.2", "whole") == "data-2\n"
    assert workbench.tasks("whole")[0]["duration_prepare"] is not None
    until(lambda: not leftovers(fleet))
