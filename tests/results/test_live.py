"""Following running tasks: their last values, curves and steps."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest

from tui_lab.protocol.control import Piece, ReadFile
from tui_lab.results import curves, live
from tui_lab.results.live import LiveReader
from tui_lab.results.tables import refresh
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder

ONE = """command: ./run {n}
parameters: {n: [1, 2]}
metrics:
  acc: {pattern: 'acc (@float@)', goal: max}
  loss: {pattern: 'loss (?P<value>@float@) at (?P<step>@int@)', take: all}
  lines: {pattern: 'acc', take: count}
"""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a call reads all that it may."""
    monkeypatch.setattr(live, "BUDGET", 60.0)


def lines(first: int, last: int, **more: Any) -> str:
    return "".join(json.dumps({"step": step, "lr": 1 / (step + 1), **more}) + "\n" for step in range(first, last))


def reader(folder: ExperimentFolder, **options: Any) -> LiveReader:
    return LiveReader(folder.path, folder.spec(), **options)


def append(folder: ExperimentFolder, name: str, text: str | bytes, task: int = 0) -> None:
    with open(folder.task_folder(task) / name, "ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def test_values_come_as_they_are_written(disk: Any) -> None:
    folder = disk.submit(ONE)
    disk.start(folder, 0, {"stdout": "acc 0.1\nloss 5 at 3\nacc 0.2", "metrics.jsonl": lines(0, 3)})
    follows = reader(folder)
    now = follows.read([(0, 1)])[0]
    assert now.last == {"lr": 1 / 3, "acc": 0.1, "loss": 5}, "a line without an end is not read"
    assert (now.step, now.curves["lr"].steps, now.curves["loss"].steps) == (3, (0, 1, 2), (3,))
    assert follows.metrics == ("acc", "loss", "lr"), "what has a goal first, then what the file has"
    assert follows.read([(0, 1)])[0] is now, "nothing is new"

    append(folder, "stdout", "5\nloss nan at 4\nacc x\n")
    append(folder, "metrics.jsonl", '[1]\nno\n{"step": 7, "lr": NaN}\n{"step": 8, "to')
    now = follows.read([(0, 1), (1, 1)])[0]
    assert (now.last["acc"], now.step, now.at > 0) == (0.25, 7, True)
    assert math.isnan(now.last["lr"]) and math.isnan(now.last["loss"]), "a task that diverged shows it"
    assert math.isnan(now.curves["lr"].values[-1])
    append(folder, "metrics.jsonl", 'p": 0.5, "lr": true, "name": "x", "inf": 1e999}\n')
    assert follows.read([(0, 1)])[0].last["top"] == 0.5
    assert follows.read([(1, 1)])[1].step is None, "it has not said anything"

    append(folder, "stdout", "acc 0.5\nloss 1 at 8\n")
    now = follows.read([(0, 1)])[0]
    disk.finish(folder, 0, 1)
    steps = refresh(folder).steps.filter(task_id=0)
    read = steps.filter(steps["loss"].is_not_null())
    assert list(now.curves["loss"].steps) == read["step"].to_list(), "as the table of steps has it"
    assert str(list(now.curves["loss"].values)) == str(read["loss"].to_list())


def test_files_that_are_cut_or_replaced_are_read_again(disk: Any) -> None:
    folder = disk.submit(ONE)
    disk.start(folder, 0, {"metrics.jsonl": lines(0, 9), "stdout": "acc 1\nacc 2\n"})
    follows = reader(folder)
    assert follows.read([(0, 1)])[0].curves["acc"].values == (1, 2)
    (folder.task_folder(0) / "metrics.jsonl").write_text(lines(0, 2))
    follows.read([(0, 1)])
    now = follows.read([(0, 1)])[0]
    assert (now.step, now.curves["acc"].values, now.curves["lr"].steps) == (1, (1, 2), (0, 1))
    other = folder.task_folder(0) / "other"
    other.write_text(lines(5, 99))
    other.replace(folder.task_folder(0) / "metrics.jsonl")
    follows.read([(0, 1)])
    assert follows.read([(0, 1)])[0].curves["lr"].steps[0] == 5


def test_long_outputs_are_thinned_out_and_far_ends_passed_over(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = disk.submit(ONE)
    disk.start(folder, 0, {"metrics.jsonl": lines(0, 10_000), "stdout": "acc 1\n" + "x" * live.PIECE * 2 + "\nacc 2\n"})
    now = reader(folder).read([(0, 1)])[0]
    curve = now.curves["lr"]
    assert curves.POINTS / 2 <= len(curve.steps) <= curves.POINTS and curve.steps[-1] == 9999
    assert list(curve.values) == sorted(curve.values, reverse=True)
    assert now.curves["acc"].values == (1, 2), "a line that is longer than any piece stops nothing"

    monkeypatch.setattr(live, "FAR", 1 << 10)
    monkeypatch.setattr(live, "PIECE", 1 << 9)
    now = reader(folder).read([(0, 1)])[0]
    assert now.curves["lr"].steps[-1] == 9999 and now.curves["lr"].steps[0] > 9000
    disk.start(folder, 1, {"stdout": "acc 1\n" * 1000})
    assert reader(folder).read([(1, 1)])[1].step is None, "what is counted is not known"
    monkeypatch.setattr(live, "FAR", 1 << 20)
    assert reader(folder).read([(1, 1)])[1].step == 1000


def test_each_task_has_its_turn(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = disk.submit("command: ./run {n}\nparameters: {n: {range: [0, 9]}}\n")
    for task in range(9):
        disk.start(folder, task, {"metrics.jsonl": lines(0, task + 1)})
    monkeypatch.setattr(live, "MOST", 2)
    follows = reader(folder)
    wanted = [(task, 1) for task in range(9)]
    known = [sum(one.step is not None for one in follows.read(wanted).values()) for _ in range(5)]
    assert known == [2, 4, 6, 8, 9]
    monkeypatch.setattr(live, "KEPT", 3)
    assert follows.read(wanted[:1])[0].step == 0
    monkeypatch.setattr(live, "BUDGET", 0.0)
    assert follows.read(wanted[:1])[0].step == 0, "what is known is known, also where there is no time to read"


def test_last_steps_of_done_tasks(disk: Any) -> None:
    folder = disk.submit("command: ./run {n}\nparameters: {n: {range: [0, 4]}}\nmetrics: {acc: 'acc (@float@)'}\n")
    disk.run(folder, 0, {"metrics.jsonl": lines(0, 2_000)})
    disk.run(folder, 1, "acc 1\n" * 30)
    disk.run(folder, 2, "nothing\n")
    disk.run(folder, 3, {"metrics.jsonl": '{"a": 1}\n' * 9})
    assert reader(folder).ends([(1, 1), (2, 1), (3, 1)]) == [30, 9]
    follows = reader(folder)
    assert follows.ends([(0, 1), (1, 1), (2, 1), (3, 1)]) == [1999], "where tasks say their steps, no others count"
    assert follows.read([(1, 1)])[1].step is None


def test_outputs_of_other_machines_are_asked_for(disk: Any) -> None:
    folder = disk.submit(ONE)
    disk.start(folder, 0, {"metrics.jsonl": lines(0, 3)})
    there = b"acc 1\nacc 2\nac"
    asked: list[ReadFile] = []

    def ask(command: ReadFile) -> Piece:
        asked.append(command)
        if command.task == 1:
            raise LabError("it is gone")
        if command.name != "stdout":
            return Piece(None, 0)
        return Piece(
            base64.b64encode(there[command.offset : command.offset + command.most]).decode(),
            len(there),
        )

    follows = reader(folder, ask=ask)
    assert follows.read([(0, 1), (1, 1)])[0].last == {"lr": 1 / 3, "acc": 2}
    there += b"c 3\n"
    now = follows.read([(0, 1)])[0]
    assert (now.last["acc"], now.curves["acc"].values) == (3, (1, 2, 3))
    assert {(one.experiment, one.name) for one in asked} == {("grid", "stdout")}
