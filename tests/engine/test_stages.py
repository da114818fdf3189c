"""Stages in real runs: what tasks share runs once, what fails stops what follows, and kill -9 between any two."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter

import pytest

from tests.workbench import Workbench, until

THREE = """\
stages:
  prepare: {command: 'echo "prepare {data}" >> $TRUTH; echo {data} > {output}/data; seq 7 > {output}/n', uses: [data]}
  train:
    command: 'echo "train {data} {lr} {repeat}" >> $TRUTH; cat {prepare.output}/data > {output}/model; echo {seed}'
  test: {command: 'echo "acc: {lr}"; cat {train.output}/model; env | grep TUI_LAB | sort', uses: [lr]}
parameters: {data: [a, b], lr: [0.1, 0.2, 0.3]}
repeat: 2
metrics: {acc: 'acc: (@float@)', made: {pattern: '(@slug@)', from: data, stage: prepare},
  size: {pattern: '(@int@)', from: n, stage: prepare, goal: max}}
"""


@pytest.mark.slow
def test_what_tasks_share_runs_once(workbench: Workbench) -> None:
    planned = workbench("plan", workbench.write("experiment.yaml", "name: e\n" + THREE))
    assert "stages: prepare 2, train 12, test 12" in planned.out
    assert "would run 12 tasks with 2 runs of prepare and 12 runs of train" in planned.out
    drawn = workbench("plan", "--graph", "experiment.yaml").out.splitlines()
    assert drawn == ["prepare     2 runs", "└▶ train    12 runs", "   └▶ test  12 tasks"]
    assert "  s1 --> s2" in workbench("plan", "--graph=mermaid", "experiment.yaml").out
    assert '  "train" -> "test";' in workbench("plan", "--graph=dot", "experiment.yaml").out
    workbench.run_text(THREE)
    counts = Counter(line.split()[0] for line in workbench.lines())
    assert counts == {"prepare": 2, "train": 12}
    assert len(set(workbench.lines())) == 14
    rows = workbench.table("SELECT data, lr, repeat, acc, made FROM e ORDER BY task_id")
    assert len(rows) == 12 and all(row["acc"] == row["lr"] and row["made"] == row["data"] for row in rows)
    assert [row["task_id"] for row in workbench.tasks()] == list(range(12)), "runs of stages are no tasks"
    sizes = workbench("stats", "e", "--metric", "size", "--json").json()["settings"]
    assert [(one["n"], one["asked"]) for one in sizes] == [(1, 1)] * 6, "two repeats share one value"
    shown = workbench.output(0)
    assert shown.splitlines()[1] == "a", "what the stages before have made"
    for line in ("TUI_LAB_STAGE=test", 'TUI_LAB_PARAMS={"lr":0.1}', "TUI_LAB_TASK_ID=0", "TUI_LAB_OUTPUT_TRAIN="):
        assert line in shown
    assert "TUI_LAB_SEED" not in shown, "it takes none"
    folder = workbench.experiment()
    assert {path.name for path in (folder.path / "stages").iterdir()} == {"prepare", "train"}
    assert workbench("logs", "e/0:train").out == "426899337\n"
    assert "6 tasks of the plan need it" in workbench("show", "e/0:prepare").out
    assert "  data = a\n  lr = 0.1\n" in workbench("show", "e/0").out, "what its last stage does not see, too"
    status = workbench("status", "--json").json()["experiments"][0]
    assert (status["tasks"], status["stages"]["prepare"]["done"], status["stages"]["train"]["done"]) == (12, 2, 12)
    assert "e: prepare 2/2, train 12/12" in workbench("status").out
    assert "0 tasks to run (12 done)" in workbench.run_text(THREE).err
    # A grown grid runs only what is new; an edited stage, that and what follows.
    grown = THREE.replace("0.3]", "0.3, 0.4]")
    workbench.run_text(grown)
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 2, "train": 16}
    workbench.run_text(grown.replace('"acc: {lr}"', '"acc: 1{lr}"'))
    assert len(workbench.lines()) == 18
    # What is gone is made again where it is needed, and `plan` says so first.
    shutil.rmtree(folder.path / "stages" / "prepare")
    text = grown.replace("> {output}/model", "> {output}/model2").replace(
        "{train.output}/model", "{train.output}/model2"
    )
    file = workbench.write("experiment.yaml", "name: e\n" + text)
    assert "2 runs of prepare would run again: the outputs are gone" in workbench("plan", file).out
    workbench.run_text(text)
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 4, "train": 32}
    assert {row["state"] for row in workbench.table("SELECT state FROM e")} == {"done"}


FAILS = """\
stages:
  prepare: {command: 'echo "prepare {data}" >> $TRUTH; echo oh no >&2; test {data} != b -o -e mended', uses: [data]}
  train: {command: 'echo "train {data} {lr}" >> $TRUTH', retries: 1, after: prepare}
  test: {command: 'echo "test {data} {lr}" >> $TRUTH; test {lr} != 3 -o -e mended', after: train}
parameters: {data: [a, b], lr: [1, 2, 3]}
max_failures: 3
"""


@pytest.mark.slow
def test_what_depends_on_a_failed_stage_fails_with_it_and_runs_with_it_again(workbench: Workbench) -> None:
    said = workbench.run_text(FAILS, "--keep-going", code=1).err
    states = Counter((row["state"], row["reason"]) for row in workbench.tasks())
    assert states == {("done", None): 2, ("failed", "exit"): 1, ("failed", "dependency"): 3}
    assert "1 run of prepare: exit 1: oh no" in said and "3 tasks: dependency" in said
    listed = workbench.table("SELECT stage, tasks, task_id, reason, exit_code FROM failures()")
    assert [(row["stage"], row["tasks"], row["reason"], row["exit_code"]) for row in listed[:1]] == [
        ("prepare", 3, "exit", 1)
    ]
    assert [row["stage"] for row in listed[1:]] == [None] * 4 and None not in [row["task_id"] for row in listed[1:]]
    failed = workbench.table("SELECT task_id FROM e_tasks WHERE reason = 'dependency'")[0]["task_id"]
    assert "never began: what it comes after failed" in workbench("logs", f"e/{failed}").err
    assert "tui-lab logs e/3:prepare --stderr" in said
    assert not workbench.events("paused"), "three that depend on one failure are no three failures"
    assert len(workbench.lines()) == 2 + 3 + 3
    (workbench.folder / "mended").touch()
    planned = workbench("plan", "experiment.yaml").out
    assert "stages: prepare 2 (1 done), train 6 (3 done), test 6 (2 done)" in planned
    assert 'echo "prepare $"' not in planned
    workbench("retry")
    assert {row["state"] for row in workbench.tasks()} == {"done"}
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 3, "train": 6, "test": 7}
    # One stage, and what follows.
    assert "3 tasks to run again, and 4 runs of stages" in workbench("retry", "e/0:prepare").err
    assert Counter(workbench.lines()[-7:]) == Counter(
        ["prepare a", *(f"{stage} a {lr}" for stage in ("train", "test") for lr in (1, 2, 3))]
    )
    assert "e has no stage" in workbench("retry", "e/0:prepar", code=2).err


OUTS = """\
stages:
  prepare:
    command:
      first: 'echo first >> $TRUTH'
      second: 'echo second >> $TRUTH; mkdir -p {output}/d; if test {attempt} = 2; then echo > {output}/d/a.npz; fi'
    uses: []
    outs: ['**/*.npz', '*.stdout']
    retries: 1
  train: {command: 'echo warning >&2; echo > {output}/a; ln -sf a {output}/b', outs: [b, c], after: prepare}
  test: {command: 'echo {x}', after: train}
parameters: {x: [1]}
"""


@pytest.mark.slow
def test_a_run_that_does_not_leave_its_outs_has_failed(workbench: Workbench) -> None:
    said = workbench.run_text(OUTS, code=1).err
    assert workbench.lines() == ["first", "second"] * 2, "any step may be to blame"
    lacks = 'it left no file that matches "c"'
    assert f"1 run of train: outs: {lacks}" in said and "tui-lab show e/0:train" in said
    ends = [(event["state"], event.get("reason"), event.get("exit_code")) for event in workbench.events("finished")]
    assert ends == [("failed", "outs", 0), ("done", None, 0), ("failed", "outs", 0)]
    assert lacks in workbench("show", "e/0:train").out
    # What is no part of the identity runs nothing again but what has failed.
    workbench.run_text(OUTS.replace("[b, c]", "[b]"))
    assert len(workbench.lines()) == 4 and [row["state"] for row in workbench.tasks()] == ["done"]
    # One that was removed is made again where it is needed.
    grown = OUTS.replace("[b, c]", "[b]").replace("x: [1]", "x: [1, 2]")
    file = workbench.write("experiment.yaml", "name: e\n" + grown)
    assert "would run again" not in workbench("plan", file).out
    next(workbench.experiment().path.glob("stages/train/*/b")).unlink()
    assert "1 run of train would run again: the outputs are gone" in workbench("plan", file).out


@pytest.mark.slow
@pytest.mark.fault
def test_kill_9_between_stages(workbench: Workbench, request: pytest.FixtureRequest) -> None:
    """The engine is killed again and again; each run and each task still ends once."""
    text = THREE.replace("> {output}/model;", "> {output}/model; sleep 0.1;")
    text = text.replace("uses: [data]}", "uses: [data], retain: until-done}")
    file = workbench.write("experiment.yaml", "name: e\n" + text)
    workbench("--run", file, "--node", "localhost", 3, "--detach")
    for count in range(2, 14, 2 if request.config.getoption("--long") else 5):
        until(lambda count=count: len(workbench.lines()) >= count, 60)  # type: ignore[misc]
        pid = workbench.engine_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        workbench("--run", file, "--node", "localhost", 3, "--detach")
    workbench("--run", file, "--node", "localhost", 3)
    assert sorted(Counter(workbench.lines()).values()) == [1] * 14
    assert {row["state"] for row in workbench.tasks()} == {"done"}
    ends = Counter(event["task"] for event in workbench.events("finished"))
    assert sorted(ends) == list(range(26)) and set(ends.values()) == {1}
    prepared = workbench.experiment().path / "stages" / "prepare"
    until(lambda: {path.name for path in prepared.glob("*/*")} == {"stdout", "stderr", "data", "n"}, 20)


@pytest.mark.slow
def test_rerun_from_a_stage_and_clean(workbench: Workbench) -> None:
    file = workbench.write("experiment.yaml", "name: e\n" + THREE.replace("repeat: 2", "repeat: 1"))
    local = ("--node", "localhost", 2)
    workbench("--run", file, *local)
    assert "there is no stage" in workbench("--run", f"--rerun={'tran'}", file, *local, code=2).err
    workbench("--run", "--rerun=train", file, *local)
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 2, "train": 12}
    workbench("--run", "--rerun", file, "--only", "data = 'a'", *local)
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 3, "train": 15}
    rows = workbench.table("SELECT data, made, size, version FROM e ORDER BY task_id")
    assert [(row["data"], row["version"]) for row in rows] == [("b", 2)] * 3 + [("a", 3)] * 3
    assert all(row["made"] == row["data"] for row in rows), "each has the values of the run that it used"
    assert "0 tasks to run" in workbench("--run", file, *local).err
    # What --rerun has replaced goes, with the runs that nothing else has used.
    before = {path.name for path in (workbench.experiment().path / "stages" / "train").iterdir()}
    said = workbench("clean", "e", "--old-versions", "--yes").out
    assert "removed 9 tasks and 10 runs of stages" in said
    assert len({path.name for path in (workbench.experiment().path / "stages" / "train").iterdir()}) == len(before) - 9
    assert {row["state"] for row in workbench.table("SELECT state FROM e")} == {"done"}
    first = workbench("--run", "--first", file, code=0)
    assert "stage prepare" in first.err and "acc: 0.1" in first.out


@pytest.mark.slow
def test_stages_one_after_the_other(workbench: Workbench) -> None:
    workbench.run_text(THREE + "order: by-stage\n", slots=3)
    stages = [line.split()[0] for line in workbench.lines()]
    assert stages == ["prepare"] * 2 + ["train"] * 12
    moments = {(event["event"], event["task"]): event["at"] for event in workbench.events() if "task" in event}
    last = max(moments["finished", run] for run in range(14, 26))
    assert all(moments["started", task] >= last for task in range(12)), "no test before the last training"


@pytest.mark.slow
def test_a_damaged_plan_and_a_lost_submission_are_made_again(workbench: Workbench) -> None:
    workbench.run_text(THREE)
    folder = workbench.experiment()
    before, plan = workbench.table("FROM e_stages ORDER BY run_id"), folder.plans / "1.parquet"
    plan.write_bytes(plan.read_bytes()[:-100])
    assert "made again" in workbench("check", workbench.lab_path, "--repair").out
    assert workbench.table("FROM e_stages ORDER BY run_id") == before
    lines = folder.journal.read_bytes().split(b"\n")
    folder.journal.write_bytes(b"\n".join([lines[0], lines[1][:50] + b"#" + lines[1][50:], *lines[2:]]))
    assert "was put in its place" in workbench("check", workbench.lab_path, "--repair").out
    after = workbench.table("SELECT stage, run_id, state, tasks FROM e_stages ORDER BY run_id")
    assert after == [{name: row[name] for name in after[0]} for row in before]
    assert [row["state"] for row in workbench.table("SELECT state FROM e_tasks")] == ["done"] * 12


SHARED = """\
stages:
  prepare: {command: 'echo prepare >> $TRUTH; until test -e go; do sleep 0.05; done; echo 7 > {output}/n', uses: []}
  use: {command: 'cat {prepare.output}/n; echo {x} >> $TRUTH'}
parameters: {x: {range: [0, 300]}}
metrics: {n: '^(@int@)$'}
"""


@pytest.mark.slow
@pytest.mark.fault
def test_what_300_tasks_share_runs_once_though_engine_and_agent_are_killed(workbench: Workbench) -> None:
    file = workbench.write("experiment.yaml", "name: e\n" + SHARED)
    words = ("--run", file, "--node", "localhost", 3)
    workbench(*words, "--detach")
    until(lambda: workbench.lines() == ["prepare"], 60)
    os.kill(until(workbench.agent_pid), signal.SIGKILL)
    workbench.kill_engine()
    workbench(*words, "--detach")
    (workbench.folder / "go").touch()
    until(lambda: len(workbench.lines()) > 50, 60)
    os.kill(until(workbench.agent_pid), signal.SIGKILL)
    until(lambda: len(workbench.lines()) > 150, 60)
    workbench.kill_engine()
    workbench(*words)
    counts = Counter(workbench.lines())
    assert counts.pop("prepare") == 1
    assert sorted(map(int, counts)) == list(range(300)) and set(counts.values()) == {1}
    assert workbench.table("SELECT count(*) AS tasks, min(n) AS least, max(n) AS most FROM e") == [
        {"tasks": 300, "least": 7, "most": 7}
    ]
    assert workbench.table("SELECT tasks, attempts FROM e_stages") == [{"tasks": 300, "attempts": 1}]


SEVERAL = """\
stages:
  train: {command: 'echo "train {lr}" >> $TRUTH; echo {lr} > {output}/model'}
  test_a:
    command: |
      echo "a {lr}" >> $TRUTH
      test {lr} != 2 -o -e mended || exit 1
      until test -e go; do sleep 0.05; done
      cat {train.output}/model $(ls more 2> /dev/null)
  test_b: {command: 'echo "b {lr}" >> $TRUTH; env | grep TUI_LAB_OUTPUT_; test {lr} != 3 -o -e mended', after: train}
parameters: {lr: [1, 2, 3]}
metrics: {a: {pattern: '^(@int@)$', stage: test_a}, outputs: {pattern: 'TUI_LAB_OUTPUT_(@str@)', take: count}}
"""


@pytest.mark.slow
@pytest.mark.fault
def test_several_last_stages_run_side_by_side(workbench: Workbench) -> None:
    file = workbench.write("experiment.yaml", "name: e\n" + SEVERAL)
    drawn = workbench("plan", "--graph", file).out.splitlines()
    assert [line.split()[:2] for line in drawn] == [["train", "3"], ["└▶", "test_a"], ["└▶", "test_b"]]
    words = ("--run", file, "--node", "localhost", 4)
    workbench(*words, "--detach")
    # All of both run, whatever becomes of the others. A task that has ended well itself waits for its other last stage.
    every = [f"{name} {lr}" for name in ("a", "b", "train") for lr in (1, 2, 3)]
    until(lambda: sorted(workbench.lines()) == every, 60)
    until(lambda: sum(event["task"] < 3 for event in workbench.events("finished")) == 3, 60)
    until(lambda: workbench.events("dependency_failed"), 60)
    found = [(row["state"], row["reason"], row["exit_code"]) for row in workbench.tasks()]
    assert found == [("pending", None, 0), ("failed", "dependency", 0), ("failed", "exit", 1)]
    assert "failed (dependency: test_a)" in workbench("show", "e/1").out
    workbench.kill_engine()
    for name in ("mended", "go"):
        (workbench.folder / name).touch()
    workbench(*words)
    assert Counter(workbench.lines()) == Counter([*every, "a 2", "b 3"]), "only what failed has run again"
    rows = workbench.table("SELECT lr, a, outputs, state FROM e_tasks ORDER BY task_id")
    assert rows == [{"lr": lr, "a": lr, "outputs": 1, "state": "done"} for lr in (1, 2, 3)]
    # One of them again, with what it finds now, and nothing else.
    (workbench.folder / "more").write_text("7\n")
    workbench("retry", "e/0:test_a")
    assert workbench.lines()[11:] == ["a 1"] and workbench.tasks()[0]["state"] == "done"
    assert [row["a"] for row in workbench.table("SELECT a FROM e ORDER BY task_id")] == [7, 2, 3]
    workbench("retry", "e/1:test_b")
    assert workbench.lines()[12:] == ["b 2"]
    workbench("--run", "--rerun=test_b", *words[1:])
    assert sorted(workbench.lines()[13:]) == ["b 1", "b 2", "b 3"]
    assert "0 tasks to run" in workbench(*words).err
    workbench("check", workbench.lab_path)
