"""Python functions as tasks, in real runs."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

from tests.workbench import Workbench

TRAIN = """\
    import random
    import sys
    import tui_lab

    def fit(lr: float, layers: int = 2, *, folder: str = ""):
        tui_lab.log(step=0, loss=1.0)
        print("layers", layers)
        if lr > 0.9:
            raise ValueError("bad lr\\nvery bad")
        open(folder + "/mine.txt", "w").close()
        noise = random.random()
        return {"acc": lr * layers, "bad": float("nan"), "noise": noise, "curve": [3, 2], "model": sys, "Acc": 9}

    def seeded(x: int, seed: int):
        return x + seed

    if __name__ == "__main__":
        raise SystemExit("this is no program")
"""


def test_a_function_is_called_and_its_results_are_kept(workbench: Workbench) -> None:
    workbench.write("train.py", TRAIN)
    text = "function: train.py::fit\nparameters: {rate: [0.1, 0.5, 1.0], layers: [1, 2]}\n"
    text += "args: {rate: lr, output: folder}\nmetrics: {acc: {goal: max, unit: '%'}}\npython: ./python\n"
    # An isolated interpreter knows no tui_lab, as on any node.
    workbench.write("python", '#!/bin/sh\nexec /usr/bin/env -u PYTHONPATH python3 -I "$@"\n', executable=True)
    first = workbench.run_text(text, code=1)
    assert "4 done" in first.err and "2 failed" in first.err
    assert "returned model: can't be kept as a result: it is module" in first.err
    hint = "returned Acc: it has no column, as acc differs in case only; add metrics: {OTHER_NAME: {returned: Acc}}"
    assert hint in first.err
    rows = workbench.table("SELECT rate, layers, acc, bad, noise, seed FROM e ORDER BY rate, layers")
    assert [row["acc"] for row in rows] == [0.1, 0.2, 0.5, 1.0]
    assert all(row["bad"] is None or math.isnan(row["bad"]) for row in rows)
    assert len({row["noise"] for row in rows}) == len({row["seed"] for row in rows}) == 4  # each seeded by its key
    steps = workbench.table("SELECT step, loss, curve FROM e_steps WHERE task_id = 0 ORDER BY step")
    assert steps == [{"step": 0, "loss": 1.0, "curve": 3}, {"step": 1, "loss": None, "curve": 2}]
    returned = workbench.output(0, "returned.json")
    assert json.loads(returned)["not_kept"] == {"model": "module"} and '"bad": NaN' in returned
    assert "mine.txt" in {path.name for path in workbench.experiment().task_folder(0).iterdir()}
    stderr = workbench.output(4, "stderr")
    assert stderr.splitlines()[0].startswith("Traceback") and "_tui_lab" not in stderr
    assert stderr.splitlines()[-2:] == ["ValueError: bad lr", "very bad"]
    columns = "reason, exception, exception_message, exit_code, count(*) AS tasks"
    (failed,) = workbench.table(f"SELECT {columns} FROM e_tasks WHERE state = 'failed' GROUP BY ALL")
    exception = {"exception": "ValueError", "exception_message": "bad lr\nvery bad"}
    assert failed == {"reason": "exception", **exception, "exit_code": 1, "tasks": 2}
    assert "2 tasks: exception at train.py:9 in fit: ValueError: bad lr" in first.err
    # The same again runs only what failed; another run of the same task gives the same.
    shown = workbench("show", "e/4").out
    assert "$ train.py::fit(lr=1.0, layers=1)" in shown and "    ValueError: bad lr\n" in shown
    line = workbench("show", "--command", "e/2").out
    again = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert "'acc': 0.5" in again.stdout, again
    noise = rows[0]["noise"]
    workbench.run_text(text, "--rerun", "--only", "rate = 0.1 and layers = 1", code=None)
    assert workbench.table("SELECT noise FROM e WHERE rate = 0.1 AND layers = 1") == [{"noise": noise}]
    # What was found before stands, also where it is asked for otherwise.
    assert "e/2" in workbench("show", "e/2").out
    assert "acc" in workbench("stats", "e").out


def test_repeats_begin_where_the_function_takes_the_seed(workbench: Workbench) -> None:
    workbench.write("train.py", TRAIN)
    text = "function: train:seeded\nparameters: {x: [0, 10]}\nrepeat: 2\nseed: 5\n"
    workbench.run_text(text)
    rows = workbench.table("SELECT x, repeat, seed, result FROM e")
    assert len(rows) == 4 and all(row["result"] == row["x"] + row["seed"] for row in rows)
    assert len({row["seed"] for row in rows}) == 2
    file = workbench.write("experiment.yaml", "name: e\n" + text.replace("seed: 5", "seed: 6"))
    assert "would run 4 tasks" in workbench("plan", file).out


def test_the_interpreter_is_found_first(workbench: Workbench, tmp_path: Path) -> None:
    workbench.write("train.py", TRAIN)
    file = workbench.write("e.yaml", "function: train.py::fit\nparameters: {lr: 0.1}\npython: .venv/bin/python\n")
    err = workbench("plan", file, code=2).err
    assert f'{file}:3:9: the interpreter "{tmp_path}/.venv/bin/python" is not found' in err


def test_new_arguments_with_a_default_change_nothing_and_changed_defaults_do(workbench: Workbench) -> None:
    file = workbench.folder / "experiment.yaml"

    def plan(code: str, parameters: str) -> str:
        workbench.write("f.py", code)
        workbench.write(file.name, f"name: e\nfunction: f.py::f\nparameters: {parameters}\n")
        return workbench("plan", file).out

    values = "SELECT a, result FROM e ORDER BY task_id"
    assert "would run 2 tasks" in plan("def f(a): return a", "{a: [1, 2]}")
    workbench.run(file)
    assert "would run 0 tasks" in plan("def f(a, b=1): return a", "{a: [1, 2]}")
    assert "the function takes it: give it a value" in workbench("plan", file, "b=3", code=2).err
    workbench.run(file)  # which records the default
    changed = plan("def f(a, b=2): return a", "{a: [1, 2]}")
    assert "2 tasks would run again: a default of the function changed" in changed
    # The new argument may be given as its default, or as another value.
    assert "would run 2 tasks" in plan("def f(a, b: float = 1): return a + b", "{a: [1, 2], b: [1, 3]}")
    workbench.run(file)
    assert [row["result"] for row in workbench.table(values)] == [1, 2, 4, 5]
    # A changed default joins: tasks that don't give it are others, those that give the old one are known.
    assert "would run 0 tasks" in plan("def f(a, b=5): return a + b", "{a: [1, 2], b: [1, 3]}")
    assert "would run 2 tasks" in plan("def f(a, b=5): return a + b", "{a: [1, 2]}")
    assert "would run 2 tasks" in plan("def f(a, b=5): return a + b", "{a: [1, 2], b: [1, 5]}")
    # An argument whose values keys have held stays in them, whatever default it gets.
    assert "would run 0 tasks" in plan("def f(a=1, b=1): return a + b", "{a: [1, 2]}")


def test_values_of_the_command_line_are_checked_alike(workbench: Workbench) -> None:
    workbench.write("train.py", TRAIN)
    file = workbench.write("e.yaml", "function: train.py::fit\nparameters: {lr: [0.1]}\nargs: {output: folder}\n")
    err = workbench.run(file, "lr=0.2,many", code=2).err
    assert err == 'lr="many": "many" is not a number; train.py::fit has lr: float\n'
