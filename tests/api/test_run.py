"""Runs from Python: in a script, in a running event loop, interrupted, with failures."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tui_lab as tl
from tests.workbench import Workbench, until
from tui_lab.api.errors import in_python

SWEEP = """\
import tui_lab as tl

def experiment(**more):
    return tl.Experiment(
        "grid",
        command="echo acc: 0.{n}{repeat}; test {n} != 3 || { echo no {n} >&2; exit 4; }",
        parameters={"n": [1, 2, 3], "opt": ["adam", "sgd"]},
        repeat=2,
        metrics={"acc": {"pattern": "acc: (@float@)", "goal": "max"}},
        **more,
    )
"""
SCRIPT = """\
import asyncio
import warnings

warnings.simplefilter("error", RuntimeWarning)
from sweep import experiment, tl

run = experiment().run(nodes=["localhost 2"], only="n < 3")
run.check()
best = run.best()
assert (best.parameters, best.n, best.goal) in [({"n": 2, "opt": o}, 2, "max") for o in ("adam", "sgd")], best
assert experiment().run(only="n < 3").counts == {**run.counts}


async def main():
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    other = asyncio.create_task(tick())
    run = await experiment().arun(nodes="localhost 2", progress=False)
    other.cancel()
    assert ticks > 3, ticks
    same = experiment().run(new=True)  # blocks, and works
    assert same.counts == run.counts
    return run


run = asyncio.run(main())
assert run.counts["done"] == 8 and run.counts["failed"] == 4 and not run.running, run
try:
    run.check()
except tl.TasksFailed as error:
    print(error)
    print(error.failures)
    print(error.counts["failed"])
else:
    raise AssertionError
"""


@pytest.mark.slow
def test_a_script_without_a_guard(workbench: Workbench) -> None:
    workbench.write("sweep.py", SWEEP)
    script = workbench.write("script.py", SCRIPT)
    done = subprocess.run(
        [sys.executable, script], cwd=workbench.folder, env=workbench.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "grid: 4 of 12 tasks failed (exit 4: no 3)",
        "[{'reason': 'exit 4', 'step': '', 'line': 'no 3', 'count': 4, 'task': 8, 'address': 'grid/8'}]",
        "4",
    ]
    assert "grid: 4 pending, 8 done" in done.stderr
    # The rest of what a run says, in this process: the lab stays.
    run = tl.Lab(workbench.lab_path)["grid"]
    assert run.results().select("n", "acc").rows()[:2] == [(1, 0.10), (1, 0.11)]
    assert run.tasks().height == 12
    assert run.wait() is run
    assert (run.output(8), run.output(8, "stderr")) == ("acc: 0.30\n", "no 3\n")
    assert (run.folder(8) / "stderr").read_text() == "no 3\n"
    assert [one["count"] for one in run.failures()] == [4]
    with pytest.warns(tl.TuiLabWarning) as warned:
        table = run.stats("acc", by=["n"])
    assert "4 of 12 planned tasks are not included: 4 failed" in [str(warning.message) for warning in warned]
    assert {warning.filename for warning in warned} == {__file__}
    assert table.select("in_n", "standing").rows() == [(2, "best"), (1, "worse")]
    plot = run.plot("n", "acc", hue="opt")
    assert "adam" in str(plot) and plot.table.height == 4
    plot.save(workbench.folder / "plot.svg")
    assert plot._repr_mimebundle_().keys() == {"text/plain", "image/png"}
    assert run.plot("opt", "acc").table.height == 2
    assert "python script.py" in workbench("history", "grid").out.replace(f"{workbench.folder}/", "")
    lab = tl.Lab(workbench.lab_path)
    assert list(lab) == ["grid"] and "grid" in lab and repr(lab).endswith("grid>")
    assert lab.query("SELECT count(*) AS n FROM grid WHERE n < $m", m=2)["n"].item() == 4
    mistakes: list[tuple[Callable[[], object], str]] = [
        (lambda: lab.query("SELECT nn FROM grid"), 'there is no column "nn"'),
        (lambda: run.best("accc"), 'there is no metric "accc"; did you mean "acc"?|has no metric "accc"'),
        (lambda: run.plot("m", "acc"), 'there is no column "m"'),
        (lambda: run.output(99), "grid has no task 99; its tasks are 0 to 11"),
        (lambda: run.folder(8, "train"), 'task 8 of grid has no stage "train"; it has none'),
        (lambda: run.output(8, "model.pt"), 'task 8 of grid has no file "model.pt"; it has .*stdout'),
        (lambda: lab["gird"], 'did you mean "grid"'),
        (lambda: tl.Lab(workbench.folder / "nothing"), "there is no lab here"),
        (lambda: run.best("task_id"), 'task_id has no goal; write goal="min" or goal="max"'),
        (lambda: run.query("SELECT $m"), "has no value; give m=..."),
    ]
    for call, text in mistakes:
        with pytest.raises(tl.TuiLabError, match=text):
            call()


@pytest.mark.slow
def test_interrupts_and_cancelling_let_running_tasks_finish(workbench: Workbench) -> None:
    go = workbench.folder / "go"
    command = f"echo {{n}} >>{workbench.truth}; while ! test -e {go}; do sleep 0.02; done"
    text = f"""\
    import sys, tui_lab as tl
    try:
        tl.Experiment("e", command={command!r}, parameters={{"n": [1, 2, 3]}}).run(nodes="localhost 1")
    except KeyboardInterrupt:
        sys.exit(7)
    """
    script = workbench.write("script.py", text)
    process = subprocess.Popen(
        [sys.executable, script], cwd=workbench.folder, env=workbench.environment, stderr=subprocess.PIPE, text=True
    )
    workbench.processes.append(process)
    until(lambda: workbench.lines() == ["1"])
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("Starting no more tasks; running ones may finish."), line
    go.touch()
    assert process.wait(20) == 7
    assert [task["state"] for task in workbench.tasks()] == ["done", "pending", "pending"]

    go.unlink()
    ex = tl.Experiment(
        "e",
        command=command,
        parameters={"n": [5, 6]},
        folder=workbench.folder,
    )

    async def cancelled() -> None:
        waiting = asyncio.create_task(ex.arun(workbench.lab_path, nodes="localhost 1", progress=False))
        while workbench.lines()[1:] != ["5"]:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    run = tl.Lab(workbench.lab_path)["e"]
    assert run.running
    go.touch()
    run.wait(progress=False)
    assert (run.counts["done"], run.counts["pending"]) == (1, 1)
    with pytest.raises(tl.TasksFailed, match="1 task did not end"):
        run.check()


def test_messages_name_arguments() -> None:
    assert in_python("lines needs --y-column; or --lab DIR") == "lines needs y; or lab=DIR"
    assert in_python("`tui-lab --run FILE` makes one; --goal acc=max") == '`tui-lab --run FILE` makes one; goal="max"'


def test_an_unusable_node_or_lab_is_named_by_its_argument(tmp_path: Path) -> None:
    ex = tl.Experiment("e", command="true", folder=tmp_path)
    with pytest.raises(tl.TuiLabError, match=r"^nodes localhost 0: a node needs at least one slot"):
        ex.run(tmp_path / "lab", nodes="localhost 0")
    (tmp_path / "file").touch()
    with pytest.raises(tl.LabError, match="is not empty and is no lab; lab=DIR names another folder"):
        ex.run(tmp_path)
    with pytest.raises(tl.TuiLabError, match=r'^only: unknown name "m"'):
        ex.run(tmp_path / "lab", only="m = 3")
    with pytest.raises(tl.SpecError, match=r"^values\['m'\]: uniform can't be listed"):
        ex.run(tmp_path / "lab", values={"m": tl.uniform(0, 1)})
    with pytest.raises(tl.SpecError, match='has no parameter "m"'):
        ex.run(tmp_path / "lab", values={"m": 3})
    assert not (tmp_path / "lab").exists()
