"""`retain: until-done`: files of runs of stages go once nothing needs them, and come back where something does."""

from __future__ import annotations

import os
import re

import pytest

from tests.workbench import Workbench, until

TEXT = """\
stages:
  prepare:
    command: |
      echo prepare {data} >> $TRUTH; echo out {data}; echo {data} > {output}/data
      mkdir -p {output}/deep/more; echo 5 > {output}/deep/n; seq 1000 > {output}/deep/big; ln -sf deep/big {output}/link
    uses: [data]
    retain: until-done
  train:
    command:
      first: 'echo train {data} {lr} >> $TRUTH; cat {prepare.output}/data > {output}/model'
      second: 'cat {prepare.output}/link > {output}/big'
    retain: until-done
  test: {command: 'echo test {data} {lr} >> $TRUTH; cat {train.output}/model; test {data}{lr} != b2 -o -e mended'}
parameters: {data: [a, b], lr: [1, 2]}
metrics: {model: '(@slug@)', n: {pattern: '(@int@)', from: deep/n, stage: prepare},
  made: {pattern: 'out (@slug@)', stage: prepare}}
"""


def left(workbench: Workbench) -> list[str]:
    """What is left in the folders of the stages, without outputs."""
    top = workbench.experiment().path / "stages"
    names = [f"{os.path.relpath(place, top)}/{name}" for place, _, files in os.walk(top) for name in files]
    return sorted(name for name in names if ".removed-" not in name and not re.search("std(out|err)", name))


def cut_before_the_last(workbench: Workbench, event: str) -> None:
    """Cut the journal, as if the engine had been killed there."""
    until(lambda: workbench.engine_pid() is None)
    folder = workbench.experiment()
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if b'"event":"%s"' % event.encode() in line)
    folder.journal.write_bytes(b"".join(lines[:last]))
    (folder.path / "state.parquet").unlink()


@pytest.mark.slow
@pytest.mark.fault
def test_files_go_when_nothing_needs_them_and_come_back(workbench: Workbench) -> None:
    workbench.run_text(TEXT, code=1)
    train = next(
        row["run_id"]
        for row in workbench.table("SELECT run_id, data, lr FROM e_stages WHERE stage = 'train'")
        if (row["data"], row["lr"]) == ("b", 2)
    )
    kept = ["prepare/4/deep/n", "prepare/5/deep/n"]
    until(lambda: left(workbench) == sorted([*kept, f"train/{train}/big", f"train/{train}/model"]))
    shown = workbench("show", "e/0:prepare").out
    assert "its other files were removed (`retain: until-done`)" in shown and "deep/n" in shown
    assert workbench("logs", "e/0:prepare").out == "out a\n"
    assert "its files were removed" in workbench("fetch", "e/0:prepare").err
    # What failed finds what it needs.
    (workbench.folder / "mended").touch()
    before = len(workbench.lines())
    workbench("retry")
    assert workbench.lines()[before:] == ["test b 2"]
    until(lambda: left(workbench) == kept)
    rows = workbench.table("SELECT model, n, made FROM e ORDER BY task_id")
    assert [tuple(row.values()) for row in rows] == [("a", 5, "a")] * 2 + [("b", 5, "b")] * 2
    # One that is done is made again with all that it needs, from the first step on.
    before = len(workbench.lines())
    workbench("retry", "e/0:test")
    assert workbench.lines()[before:] == ["prepare a", "train a 1", "test a 1"]
    until(lambda: left(workbench) == kept)
    # An engine that was killed between the event and the removal, or within it, or before it: the same command, or
    # --repair, goes on.
    top = workbench.experiment().path / "stages"

    def same() -> None:
        workbench.run_text(TEXT)

    before = len(workbench.lines())
    for repair in (True, False):
        (top / "prepare/4/data").write_text("a")
        (top / ".removed-5-x/0").mkdir(parents=True)
        workbench("check", workbench.lab_path, "--repair") if repair else same()
        until(lambda: left(workbench) == kept and not list(top.glob(".removed*")))
    cut_before_the_last(workbench, "discarded")
    (top / "train/6/model").write_text("a")
    same()
    until(lambda: left(workbench) == kept)
    submissions = len(workbench.events("submitted"))
    same()
    assert (len(workbench.lines()), len(workbench.events("submitted"))) == (before, submissions), "all is done"
    # So is what an edit needs, and `plan` says so first.
    edited = TEXT.replace("echo test {data}", "echo check {data}")
    plan = workbench("plan", workbench.write("experiment.yaml", "name: e\n" + edited)).out
    for what in ("2 runs of prepare", "4 runs of train"):
        assert f"{what} would run again: `retain: until-done` has removed the outputs" in plan
    assert "would run 4 tasks with 2 runs of prepare and 4 runs of train" in plan
    before = len(workbench.lines())
    workbench.run_text(edited)
    assert sorted(line.split()[0] for line in workbench.lines()[before:]) == (
        ["check"] * 4 + ["prepare"] * 2 + ["train"] * 4
    )
    until(lambda: left(workbench) == kept)


@pytest.mark.slow
def test_repeats_that_turn_out_to_be_needless_keep_no_files(workbench: Workbench) -> None:
    workbench.run_text(
        """\
stages:
  prepare: {command: 'echo {data} > {output}/d', uses: [data], retain: until-done}
  train: {command: 'cat {prepare.output}/d > {output}/m; echo {seed} >> $TRUTH', retain: until-done}
  test: {command: 'echo "acc: {data}"; cat {train.output}/m'}
parameters: {data: [1, 2]}
metrics: {acc: 'acc: (@float@)'}
repeat: {min: 2, max: 4, until: 'n(acc) >= 3'}
"""
    )
    assert len(workbench.lines()) == 6, "the runs of stages of further repeats run, too"
    until(lambda: left(workbench) == [])
