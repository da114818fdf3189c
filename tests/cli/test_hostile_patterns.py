"""Patterns that would take for ever, in each command that reads metrics: told in a line, left by Ctrl-C."""

from __future__ import annotations

import signal

import pytest

from tests.workbench import Workbench, alive, searching, until

NESTED = "(a+)+$"
TWICE = "loss=(@float@) .*acc=@float@"
PRINTS = "python3 -c \"print('a' * 40 + '!'); print('loss=0.5 ' * 120000); print('n=1')\""
FILE = f"""
name: h
command: |
  {PRINTS}
metrics:
  nested: '{NESTED}'
  twice: '{TWICE}'
  n: 'n=(@int@)'
"""
COMMANDS = [
    ("--run", "h.yaml"),
    ("query", "SELECT nested, twice, n FROM h"),
    ("parse", "h"),
    ("stats", "h"),
    ("export", "h"),
]


@pytest.mark.slow
def test_one_line_names_the_metric_and_the_task(workbench: Workbench) -> None:
    workbench.write("h.yaml", FILE)
    told = workbench("--run", "h.yaml")
    again = workbench("parse", "h", "-p", "other", NESTED)
    for result, names in ((told, ["nested"]), (again, ["nested", "other"])):
        lines = [line for line in (result.out + result.err).splitlines() if "took longer than" in line]
        assert [line.split('"')[1] for line in lines] == names
        assert all("task 0" in line and len(line) < 250 for line in lines)
    found = workbench("query", "SELECT nested, twice, n FROM h", "--format", "csv")
    assert found.out.splitlines()[1] == ",,1"


@pytest.mark.slow
def test_ctrl_c_leaves_and_nothing_goes_on(workbench: Workbench) -> None:
    workbench.write("h.yaml", FILE)
    for words in COMMANDS:
        for kept in workbench.lab_path.glob("h/results*"):
            kept.unlink()
        left_in_the_midst(workbench, words)


def left_in_the_midst(workbench: Workbench, words: tuple[str, ...]) -> None:
    process = workbench.start(*words)
    try:
        helpers = until(lambda: process.poll() is not None or searching(process.pid), 60)
        assert process.poll() is None, (words, process.communicate())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130, words
    assert "Traceback" not in err and "mistake" not in err
    until(lambda: not any(alive(helper) for helper in helpers))
