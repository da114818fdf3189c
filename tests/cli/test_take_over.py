"""A lab whose engine is on another machine: it can be looked at from here, and be taken over from a silent one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.engine.test_crashes import check
from tests.workbench import Workbench, alive, until
from tui_lab.engine.lock import SILENCE, EngineFacts
from tui_lab.store import layout
from tui_lab.store.journal import Journal

RAN = "command: 'echo {task_id}/{attempt} >>$TRUTH; test -e go; echo over'\nmetrics: {word: '(over)'}\nrepeat: 2\n"


def owned_elsewhere(workbench: Workbench, silent: float = 0.0) -> Path:
    """An engine on another host says that it has this lab; its last sign of life was so many seconds ago."""
    EngineFacts(4321, 1, "elsewhere", "/nowhere", str(workbench.lab_path.resolve())).write(workbench.lab)
    path = workbench.lab_path / layout.ENGINE_FILE
    os.utime(path, (0, time.time() - silent))
    return path


@pytest.fixture
def ended(workbench: Workbench) -> Workbench:
    """A run in which one task failed."""
    workbench.write("e.yaml", RAN.replace("test -e go", "test {repeat} = 0 -o -e go"))
    workbench("--run", "e.yaml", "--node", "localhost", 2, code=1)
    until(lambda: workbench.engine_pid() is None and not (workbench.lab_path / layout.ENGINE_FILE).exists())
    return workbench


@pytest.mark.slow
def test_what_only_looks_works_and_says_it(ended: Workbench) -> None:
    owned_elsewhere(ended)
    for words, found in {
        ("status",): "1",
        ("logs", "0"): "over",
        ("query", "SELECT word FROM e"): "over",
        ("show", "1"): "failed",
        ("history",): "e#1",
    }.items():
        said = ended.process(*words)
        assert found in said.out
        note = "an engine on elsewhere (pid 4321) runs this lab"
        assert (said.out + said.err).count(note) == 1, words


@pytest.mark.parametrize(
    "words", [("--run", "e.yaml"), ("--run", "e.yaml", "--rerun"), ("retry",), ("resume",), ("stop",), ("pause",)]
)
def test_what_would_run_names_the_host_and_what_to_do(ended: Workbench, words: tuple[str, ...]) -> None:
    owned_elsewhere(ended, silent=2 * SILENCE)
    plans = sorted((ended.lab_path / "e/plans").iterdir())
    said = ended.process(*words, code=3)
    assert said.err.count("\n") == 1
    assert "an engine on elsewhere (pid 4321)" in said.err
    assert "--take-over" in said.err
    assert sorted((ended.lab_path / "e/plans").iterdir()) == plans


@pytest.mark.slow
def test_a_host_that_gives_signs_of_life_keeps_its_lab(ended: Workbench) -> None:
    owned_elsewhere(ended)
    for words in (("--run", "e.yaml"), ("retry",), ("resume",)):
        said = ended.process(*words, "--take-over", code=3)
        assert said.err.count("\n") == 1
        assert "the engine on elsewhere (pid 4321) was alive" in said.err


@pytest.mark.parametrize("words", [("--run", "e.yaml"), ("retry",)])
def test_a_silent_host_loses_it(ended: Workbench, words: tuple[str, ...]) -> None:
    owned_elsewhere(ended, silent=2 * SILENCE)
    (ended.folder / "go").touch()
    ended.process(*words, "--take-over")
    assert [task["state"] for task in ended.tasks()] == ["done", "done"]


@pytest.mark.slow
def test_without_another_host_it_means_nothing(workbench: Workbench) -> None:
    workbench.write("e.yaml", RAN)
    (workbench.folder / "go").touch()
    for _ in range(2):
        workbench("--run", "e.yaml", "--take-over")
    check(workbench)


@pytest.mark.slow
def test_an_engine_that_was_taken_over_ends_and_writes_nothing_more(workbench: Workbench) -> None:
    """It was asleep, or cut off, while someone else took its lab over."""
    script = "echo {task_id}/{attempt} >>$TRUTH; while ! test -e go; do sleep 0.02; done; echo over"
    workbench.write("e.yaml", f"command: '{script}'\nrepeat: 4\n")
    run = workbench.start("--run", "e.yaml", "--node", "localhost", 2)
    until(lambda: len(workbench.lines()) == 2 and len(workbench.events("started")) == 2)
    engine = workbench.engine_pid()
    assert engine is not None
    path = owned_elsewhere(workbench)
    _, err = run.communicate(timeout=40)
    assert run.returncode == 3, err
    assert "elsewhere" in err.splitlines()[-1]
    until(lambda: not alive(engine))
    assert path.exists()
    (workbench.folder / "go").touch()
    os.utime(path, (0, 0))
    workbench.process("resume", "--take-over")
    check(workbench)


@pytest.mark.slow
def test_a_journal_that_someone_else_writes_to_is_not_written_over(workbench: Workbench) -> None:
    script = "echo {task_id}/{attempt} >>$TRUTH; while ! test -e go; do sleep 0.02; done; echo over"
    workbench.write("e.yaml", f"command: '{script}'\nrepeat: 4\n")
    run = workbench.start("--run", "e.yaml", "--node", "localhost", 2)
    until(lambda: len(workbench.lines()) == 2 and len(workbench.events("started")) == 2)
    journal = Journal(workbench.lab_path / "e/journal.jsonl")
    journal.append_lines([b'{"event":"remark","text":"from someone else"}'])
    journal.close()
    (workbench.folder / "go").touch()
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert [event["text"] for event in workbench.events("remark")] == ["from someone else"]
    check(workbench)
