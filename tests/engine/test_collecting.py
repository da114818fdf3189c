"""Stages that collect, in real runs: over all tasks that differ in some parameters alone, once these are done."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from tests.workbench import Workbench, until

COLLECTS = """\
stages:
  prepare: {command: 'echo "prepare {data}" >> $TRUTH; echo {data} > {output}/data'}
  train:
    command: |
      echo "train {data} {lr} {repeat}" >> $TRUTH
      test {lr}{repeat} != 21 -o -e mended || exit 1
      echo "acc: {lr}"; echo "{data}{lr}{repeat} {seed}" > {output}/model; cat {prepare.output}/data
  mean:
    command: |
      echo "mean {lr}" >> $TRUTH
      tail -n +2 {collected} | cut -f 1 | while read -r folder; do cat "$folder/model"; done | tee {output}/all
      echo "n: $(tail -n +2 $TUI_LAB_COLLECTED | wc -l)"; head -n 1 {collected} > {output}/head
      env | grep TUI_LAB_ | sort
    collect: seed
  table:
    command: 'echo table >> $TRUTH; test -e go || exit 3; cat {collected}'
    collect: all
    after: mean
parameters: {data: [a, b], lr: [1, 2]}
repeat: 2
metrics: {acc: 'acc: (@float@)', n: {pattern: 'n: (@int@)', stage: mean, goal: max}}
"""


@pytest.mark.slow
def test_a_stage_collects_what_differs_in_its_seed_alone(workbench: Workbench) -> None:
    file = workbench.write("experiment.yaml", "name: e\n" + COLLECTS)
    planned = workbench("plan", file).out
    assert "stages: prepare 2, train 8, mean 4, table 1" in planned
    assert "would run 8 tasks with 2 runs of prepare, 4 runs of mean and 1 run of table" in planned
    assert workbench("plan", "--graph", file).out.splitlines()[2:] == [
        "   └▶ mean      4 runs, collects seed",
        "      └▶ table  1 run, collects data, lr",
    ]
    # One failed task: what collects it can't run; the others can.
    run = ("--run", file, "--node", "localhost", 2)
    assert "2 failed" in workbench(*run, code=1).err
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 2, "train": 8, "mean": 2}
    means = "SELECT state, reason, tasks, data, lr FROM e_stages WHERE stage = 'mean' ORDER BY run_id"
    assert [(row["state"], row["reason"], row["data"], row["lr"]) for row in workbench.table(means)] == [
        (("failed", "dependency") if lr == 2 else ("done", None)) + (data, lr) for data in "ab" for lr in (1, 2)
    ]
    assert "failed (dependency: e/3)" in workbench("show", "e/2:mean").out
    # A retry of the tasks goes on to what collects them. What fails there is no failure of a task.
    (workbench.folder / "mended").touch()
    failed = workbench("retry", "e", code=1)
    assert "8 done" in failed.err and "exit 3" in failed.err and "next: tui-lab retry e\n" in failed.err
    assert sorted(workbench.lines()[12:]) == ["mean 2", "mean 2", "table", "train a 2 1", "train b 2 1"]
    (workbench.folder / "go").touch()
    assert "0 tasks to run again, and 1 run of stages" in workbench("retry", "e").err
    assert workbench.lines()[17:] == ["table"]
    shown = workbench("logs", "e/0:mean").out
    assert shown.splitlines()[:3] == ["a10 426899337", "a11 1983447018", "n: 2"]
    assert "TUI_LAB_STAGE=mean" in shown and "TUI_LAB_SEED" not in shown and "TUI_LAB_OUTPUT_TRAIN" not in shown
    folder = workbench.experiment()
    runs = workbench.table("SELECT run_id FROM e_stages WHERE stage = 'mean' ORDER BY run_id")
    assert (folder.task_folder(runs[0]["run_id"]) / "head").read_text() == "folder\tseed\n"
    assert workbench("logs", "e/7:table").out.splitlines() == [
        "folder\tdata\tlr",
        *(f"{folder.task_folder(runs[i]['run_id'])}\t{data}\t{lr}" for i, (data, lr) in enumerate(GROUPS)),
    ]
    assert "collects 2 runs of train" in workbench("show", "e/0:mean").out
    rows = workbench.table("SELECT acc, lr, n FROM e ORDER BY task_id")
    assert len(rows) == 8 and all((row["acc"], row["n"]) == (row["lr"], 2) for row in rows)
    sizes = workbench("stats", "e", "--metric", "n", "--json").json()["settings"]
    assert [(one["n"], one["asked"]) for one in sizes] == [(1, 1)] * 4, "two repeats share one value"
    assert "0 tasks to run" in workbench(*run).err and len(workbench.lines()) == 18
    # Files that nothing waits for go, also where stages collect.
    text = COLLECTS.replace("{output}/data'}", "{output}/data', retain: until-done}")
    workbench.write("experiment.yaml", "name: e\n" + text)
    for _ in range(2):
        assert "0 tasks to run" in workbench(*run).err and len(workbench.lines()) == 18
    until(lambda: not list((folder.path / "stages/prepare").glob("*/data")))
    # Those of a task that failed stay, though all that collects it is done.
    (workbench.folder / "mended").unlink()
    workbench("clean", "e", "--where", "task_id = 3", "--yes")
    workbench(*run, code=1)
    assert workbench.lines()[18:] == ["prepare a", "train a 2 1"]
    (workbench.folder / "mended").touch()
    workbench("retry", "e")
    assert workbench.lines()[20:] == ["train a 2 1"]
    until(lambda: not list((folder.path / "stages/prepare").glob("*/data")))
    workbench("check", workbench.lab_path)


GROUPS = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


@pytest.mark.slow
def test_more_repeats_are_collected_anew_and_what_is_gone_is_made_again(workbench: Workbench) -> None:
    for name in ("mended", "go"):
        (workbench.folder / name).touch()
    text = COLLECTS.replace("[a, b]", "[a]")
    workbench.run_text(text)
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 1, "train": 4, "mean": 2, "table": 1}
    # More repeats: the tasks stay, and are collected together with the new ones.
    more = text.replace("repeat: 2", "repeat: 3")
    workbench.run_text(more)
    assert sorted(workbench.lines()[8:]) == ["mean 1", "mean 2", "table", "train a 1 2", "train a 2 2"]
    assert {row["n"] for row in workbench.table("SELECT n FROM e")} == {3}
    assert "0 tasks and 3 runs of stages" in workbench("clean", "e", "--unplanned", "--yes").out
    assert {row["planned"] for row in workbench.table("SELECT planned FROM e_stages WHERE state = 'done'")} == {True}
    # A part of the tasks: what collects others, too, waits for them.
    grown = more.replace("lr: [1, 2]", "lr: [1, 2, 3]")
    file = workbench.write("experiment.yaml", "name: e\n" + grown)
    only = ("--run", file, "--only", "lr = 3 AND repeat < 2", "--node", "localhost", 2)
    workbench(*only)
    assert sorted(workbench.lines()[13:]) == ["train a 3 0", "train a 3 1"]
    assert "would run 1 task with 1 run of mean and 1 run of table" in workbench("plan", file).out
    # With what is left, until what collects last fails.
    (workbench.folder / "go").unlink()
    workbench.run_text(grown, code=1)
    assert sorted(workbench.lines()[15:]) == ["mean 3", "table", "train a 3 2"]
    (workbench.folder / "go").touch()
    assert "would run 0 tasks with 1 run of table" in workbench("plan", file).out
    workbench.run_text(grown)
    assert workbench.lines()[18:] == ["table"]
    # What is gone is made again where something needs it: a task, and the one run that collects it.
    folder = workbench.experiment()
    shutil.rmtree(folder.task_folder(0))
    run = workbench.table("SELECT run_id FROM e_stages WHERE stage = 'mean' AND planned ORDER BY run_id")[0]["run_id"]
    shutil.rmtree(folder.task_folder(run))
    assert "1 run of mean would run again: the outputs are gone" in workbench("plan", file).out
    workbench.run_text(grown)
    assert workbench.lines()[19:] == ["train a 1 0", "mean 1"]
    # One task again, and what follows from it.
    workbench("retry", "e/0:train")
    assert sorted(workbench.lines()[21:]) == ["mean 1", "table", "train a 1 0"]
    assert "would run 0 tasks with 3 runs of mean and 1 run of table" in workbench("plan", "--rerun=mean", file).out
    workbench("--run", "--rerun=mean", file, "--node", "localhost", 2)
    assert sorted(workbench.lines()[24:]) == ["mean 1", "mean 2", "mean 3", "table"]
    # What is stopped stops what collects it.
    (workbench.folder / "mended").unlink()
    slow = grown.replace("test {lr}{repeat} != 21 -o -e mended || exit 1", "until test -e mended; do sleep 0.05; done")
    workbench.run_text(slow, "--detach")
    until(lambda: len(workbench.lines()) == 30)
    workbench("stop", f"e/{next(row['task_id'] for row in workbench.tasks() if row['planned'])}")
    (workbench.folder / "mended").touch()
    until(lambda: workbench.experiment().state().ended)
    states = Counter(row["state"] for row in workbench.table("SELECT state FROM e_stages WHERE planned"))
    assert states == {"done": 3, "stopped": 2}
    workbench("check", workbench.lab_path)
