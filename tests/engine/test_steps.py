"""Tasks of several steps: a retry goes on at the failed one, and what is read is that of the last run of each step."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.engine.test_crashes import kill, rounds
from tests.workbench import Workbench, until

NAMED = """
name: named
command:
  prepare: 'echo prepare {x} {attempt} >>$TRUTH; echo "size: {attempt}"; echo {attempt} >{output}/data; sleep 0.05'
  train: |
    echo train {x} {attempt} >>$TRUTH
    echo "loss: 0.{attempt}"; echo "kept: {x}" >{output}/input; echo '{"step": {attempt}, "a": 5}' >>$TUI_LAB_METRICS
    test {attempt} -ge 3
  test: 'echo test {x} {attempt} >>$TRUTH; cat {output}/data; echo "acc: {attempt}"'
parameters: {x: [1, 2]}
files: {input: template}
retries: 1
metrics:
  size: {pattern: 'size: (@int@)', take: sum}
  loss: {pattern: 'loss: (@float@)', take: sum, from: train.stdout}
  acc: 'acc: (@int@)'
  kept: {pattern: '(@str@):', from: input}
"""
UNNAMED = """
name: unnamed
command:
  - 'echo first {x} >>$TRUTH; echo "n: 1"; echo "{\\"step\\": 1, \\"a\\": {x}}" >>$TUI_LAB_METRICS'
  - 'echo "m: {attempt}"; echo "{\\"step\\": 2, \\"a\\": {attempt}}" >>$TUI_LAB_METRICS; test {attempt} -ge 2'
  - 'echo "last: {attempt}"; test {attempt} -ge 3'
parameters: {x: [7]}
retries: 2
metrics:
  n: {pattern: 'n: (@int@)', take: count}
  m: {pattern: 'm: (@int@)', take: sum}
  last: {pattern: 'last: (@int@)', take: all}
"""


def test_a_retry_goes_on_at_the_failed_step(workbench: Workbench) -> None:
    workbench.write("template", "file: {attempt}")
    files = [workbench.write("named.yaml", NAMED), workbench.write("unnamed.yaml", UNNAMED)]
    err = workbench("--run", *files, "--node", "localhost", 2, code=1).err
    assert "✗ 2 tasks: exit 1 in step train" in err
    assert workbench.lines().count("first 7") == 1
    [row] = workbench.table("SELECT n, m, attempt FROM unnamed")
    assert row == {"n": 1, "m": 2, "attempt": 3}  # of `m`, the failed run of its step is not read
    assert workbench.output(0, "stdout.3", "unnamed") == "n: 1\nm: 2\nlast: 3\n"
    values = workbench.table("SELECT step, a FROM unnamed_steps WHERE a IS NOT NULL ORDER BY step")
    assert values == [{"step": 1, "a": 7}, {"step": 2, "a": 2}]

    # Automatic retries have failed: now one by command.
    assert (
        workbench("retry", "named/0:tset", code=2)
        .err.strip()
        .endswith('named has no step "tset"; did you mean "test"?')
    )
    assert "named/0 can't begin at test: train is not done" in workbench("retry", "named/0:test", code=2).err
    workbench("retry", "named")
    truth = [line for line in workbench.lines() if line.split()[1] == "1"]
    assert truth == ["prepare 1 1", "train 1 1", "train 1 2", "train 1 3", "test 1 3"]
    rows = workbench.table("SELECT size, loss, acc, kept FROM named")
    assert rows == [{"size": 1, "loss": 0.3, "acc": 3, "kept": "kept"}] * 2
    assert workbench.table("SELECT step FROM named_steps WHERE task_id = 0") == [{"step": 3}]
    task = workbench.tasks("named")[0]
    shown = workbench("show", "named/0", "--json").json()
    assert [(step["name"], step["exit_code"], step["attempt"]) for step in shown["steps"]] == [
        ("prepare", 0, 1),
        ("train", 0, 3),
        ("test", 0, 3),
    ]
    assert task["duration"] > shown["steps"][0]["duration"] > 0.05
    assert task["duration_prepare"] == shown["duration_prepare"] == shown["steps"][0]["duration"]
    rows = workbench.table("SELECT exit_code_test, attempt, duration_train < duration AS less FROM named")
    assert rows == [{"exit_code_test": 0, "attempt": 3, "less": True}] * 2
    assert "duration_prepare,s,min" in workbench("stats", "named", "--metric", "duration_prepare").out
    assert "duration_test" not in workbench("diff", "named/0", "named/1").out
    workbench("export", "named", "-o", "named.csv")
    assert "duration_test" not in workbench("draw", "lines", "--input", "named.csv").out
    assert "  step prepare: exit 0, " in workbench("show", "named/0").out
    assert workbench("logs", "named/0:prepare").out == "size: 1\n"

    # From a step that is done; and from the beginning after `clean`.
    workbench("retry", "named/0:test")
    assert workbench.lines()[-1] == "test 1 4"
    assert workbench.table("SELECT size, acc FROM named WHERE x = 1") == [{"size": 1, "acc": 4}]
    workbench("clean", "named", "--files", "data", "--where", "x = 1", "--yes")
    assert "named/0 can't begin at test: prepare is not done" in workbench("retry", "named/0:test", code=2).err
    workbench("clean", "named", "--where", "x = 2", "--yes")
    workbench("--run", files[0])
    assert workbench.lines()[-3:] == ["prepare 2 4", "train 2 4", "test 2 4"]


@pytest.mark.slow
@pytest.mark.fault
def test_steps_that_are_done_survive_a_lost_attempt(workbench: Workbench, request: pytest.FixtureRequest) -> None:
    """Agent, shim and engine are killed, so that attempts are lost. None runs a step before it is its turn, and their
    outputs are as if nothing had happened."""
    tasks = 40
    text = f"""
    command:
      - 'echo {{task_id}} a >>$TRUTH; echo a; echo {{task_id}} >{{output}}/a; sleep 0.01'
      - 'cat {{output}}/a; echo {{task_id}} b >>$TRUTH; sleep 0.05; echo b >{{output}}/b'
      - 'cat {{output}}/b; echo {{task_id}} c >>$TRUTH'
    repeat: {tasks}
    retries: 5
    """
    workbench.write("e.yaml", text)
    chance = random.Random("steps")
    run = workbench.start("--run", "e.yaml", "--node", "localhost", 3)
    lost = 0
    for _ in range(rounds(request)):
        wanted = min(3 * tasks, len(workbench.lines()) + chance.randrange(3, 12))
        until(lambda: len(workbench.lines()) >= wanted or run.poll() is not None, 30)
        time.sleep(chance.random() * 0.05)
        lost += kill(workbench.agent_pid())
        for shim in workbench.spool.glob("shim-*"):
            pid = int((shim.read_text().split() or ["0"])[0])
            if kill(pid or None) and chance.random() < 0.5 and (engine := workbench.engine_pid()):
                os.kill(engine, signal.SIGKILL)
    out, err = run.communicate(timeout=90)
    assert "Traceback" not in err, out + err
    if run.returncode != 0:
        workbench("--run", "e.yaml", timeout=90)
    assert lost > 2
    for task in workbench.tasks():
        assert task["state"] == "done"
        file = "stdout" if task["attempt"] == 1 else f"stdout.{task['attempt']}"
        assert workbench.output(task["task_id"], file) == f"a\n{task['task_id']}\nb\n"
    assert any(event.get("first_step") for event in workbench.events("started"))
