"""Tokens of `limits` are those of a lab: what experiments that run at once take together."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.workbench import Workbench, until
from tui_lab.engine.lock import EngineFacts
from tui_lab.store.lab import Lab

# A task counts itself in while it runs: a folder that exists already is a second one at the same time.
TEXT = """
    command: 'mkdir {busy} || exit 3; sleep 0.05; rmdir {busy}'
    parameters: {{x: [1, 2, 3, 4]}}
    needs: {{license: {need}}}
    limits: {{license: {limit}}}
"""


def write(workbench: Workbench, name: str, busy: Path, limit: int, need: int = 1) -> Path:
    return workbench.write(name, TEXT.format(busy=busy, limit=limit, need=need))


@pytest.mark.slow
@pytest.mark.parametrize(("limits", "needs"), [((1, 1), (1, 1)), ((2, 1), (2, 1))])
def test_two_experiments_share_a_limit(
    workbench: Workbench, limits: tuple[int, int], needs: tuple[int, int], tmp_path: Path
) -> None:
    files = [
        write(workbench, f"{name}.yaml", tmp_path / "busy", limit, need)
        for name, limit, need in zip(("one", "two"), limits, needs, strict=True)
    ]
    workbench("--run", *files, "--node", "localhost", 4)
    assert [task["state"] for name in ("one", "two") for task in workbench.tasks(name)] == ["done"] * 8


@pytest.mark.slow
@pytest.mark.fault
def test_a_run_that_was_not_resumed_keeps_the_tokens_of_what_it_runs(workbench: Workbench, tmp_path: Path) -> None:
    """Its engine was killed, and another began for another experiment: the task of the first still runs."""
    busy, go = tmp_path / "busy", tmp_path / "go"
    first = f"""
    command: 'mkdir {busy} || exit 3; until [ -e {go} ]; do sleep 0.02; done; rmdir {busy}'
    parameters: {{x: [1]}}
    needs: {{license: 1}}
    limits: {{license: 1}}
    """
    workbench("--run", workbench.write("one.yaml", first), "--detach", "--node", "localhost", 4)
    until(busy.exists)
    facts = EngineFacts.read(Lab.open(workbench.lab_path))
    assert facts is not None
    os.kill(facts.pid, signal.SIGKILL)
    two = write(workbench, "two.yaml", busy, 1)
    workbench("--run", two, "--detach", "--node", "localhost", 4)
    until(lambda: (workbench.lab_path / "two" / "journal.jsonl").exists())
    go.touch()
    until(lambda: [task["state"] for task in workbench.tasks("two")] == ["done"] * 4)
    workbench.process("resume")
    assert [task["state"] for task in workbench.tasks("one")] == ["done"]
