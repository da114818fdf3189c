"""A lab whose engine is on another machine: it can be looked at from here, and be taken over from a silent one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.conftest import Workshop, alive, until
from tests.engine.test_crashes import check
from tui_lab.engine.lock import SILENCE, EngineFacts
from tui_lab.store import layout
from tui_lab.store.journal import Journal

RAN = "command: 'echo {task_id}/{attempt} >>$TRUTH; test -e go; echo over'\nmetrics: {word: '(over)'}\nrepeat: 2\n"


def owned_elsewhere(shop: Workshop, silent: float = 0.0) -> Path:
    """An engine on another host says that it has this lab; its last sign of life was so many seconds ago."""
    EngineFacts(4321, 1, "elsewhere", "/nowhere", str(shop.lab_path.resolve())).write(shop.lab)
    path = shop.lab_path / layout.ENGINE_FILE
    os.utime(path, (0, time.time() - silent))
    return path


@pytest.fixture
def ended(workshop: Workshop) -> Workshop:
    """A run in which one task failed."""
    workshop.write("e.yaml", RAN.replace("test -e go", "test {repeat} = 0 -o -e go"))
    assert workshop.call("--run", "e.yaml", "--node", "localhost", 2).returncode == 1
    until(lambda: workshop.engine_pid() is None and not (workshop.lab_path / layout.ENGINE_FILE).exists())
    return workshop


def test_what_only_looks_works_and_says_it(ended: Workshop) -> None:
    owned_elsewhere(ended)
    for words, found in {
        ("status",): "1",
        ("logs", "0"): "over",
        ("query", "SELECT word FROM e"): "over",
        ("show", "1"): "failed",
        ("history",): "e#1",
    }.items():
        said = ended.call(*words)
        assert said.returncode == 0, (words, said.stderr)
        assert found in said.stdout
        note = "an engine on elsewhere (pid 4321) works on this lab"
        assert (said.stdout + said.stderr).count(note) == 1, words


@pytest.mark.parametrize(
    "words", [("--run", "e.yaml"), ("--run", "e.yaml", "--rerun"), ("retry",), ("resume",), ("stop",), ("pause",)]
)
def test_what_would_run_names_the_host_and_what_to_do(ended: Workshop, words: tuple[str, ...]) -> None:
    owned_elsewhere(ended, silent=2 * SILENCE)
    plans = sorted((ended.lab_path / "e/plans").iterdir())
    said = ended.call(*words)
    assert said.returncode == 3
    assert said.stderr.count("\n") == 1
    assert "an engine on elsewhere (pid 4321)" in said.stderr
    assert "--take-over" in said.stderr
    assert sorted((ended.lab_path / "e/plans").iterdir()) == plans


def test_a_host_that_gives_signs_of_life_keeps_its_lab(ended: Workshop) -> None:
    owned_elsewhere(ended)
    for words in (("--run", "e.yaml"), ("retry",), ("resume",)):
        said = ended.call(*words, "--take-over")
        assert said.returncode == 3
        assert said.stderr.count("\n") == 1
        assert "the engine on elsewhere (pid 4321) gave a sign of life" in said.stderr


@pytest.mark.parametrize("words", [("--run", "e.yaml"), ("retry",)])
def test_a_silent_host_loses_it(ended: Workshop, words: tuple[str, ...]) -> None:
    owned_elsewhere(ended, silent=2 * SILENCE)
    (ended.folder / "go").touch()
    said = ended.call(*words, "--take-over")
    assert said.returncode == 0, said.stderr
    assert [task["state"] for task in ended.tasks()] == ["done", "done"]


def test_without_another_host_it_means_nothing(workshop: Workshop) -> None:
    workshop.write("e.yaml", RAN)
    (workshop.folder / "go").touch()
    for _ in range(2):
        assert workshop.call("--run", "e.yaml", "--take-over").returncode == 0
    check(workshop)


def test_an_engine_that_was_taken_over_ends_and_writes_nothing_more(workshop: Workshop) -> None:
    """It was asleep, or cut off, while someone else took its lab over."""
    script = "echo {task_id}/{attempt} >>$TRUTH; while ! test -e go; do sleep 0.02; done; echo over"
    workshop.write("e.yaml", f"command: '{script}'\nrepeat: 4\n")
    run = workshop.start("--run", "e.yaml", "--node", "localhost", 2)
    until(lambda: len(workshop.lines()) == 2 and len(workshop.events("started")) == 2)
    engine = workshop.engine_pid()
    assert engine is not None
    path = owned_elsewhere(workshop)
    _, err = run.communicate(timeout=40)
    assert run.returncode == 3, err
    assert "elsewhere" in err.splitlines()[-1]
    until(lambda: not alive(engine))
    assert path.exists()
    (workshop.folder / "go").touch()
    os.utime(path, (0, 0))
    assert workshop.call("resume", "--take-over").returncode == 0
    check(workshop)


def test_a_journal_that_someone_else_writes_to_is_not_written_over(workshop: Workshop) -> None:
    script = "echo {task_id}/{attempt} >>$TRUTH; while ! test -e go; do sleep 0.02; done; echo over"
    workshop.write("e.yaml", f"command: '{script}'\nrepeat: 4\n")
    run = workshop.start("--run", "e.yaml", "--node", "localhost", 2)
    until(lambda: len(workshop.lines()) == 2 and len(workshop.events("started")) == 2)
    journal = Journal(workshop.lab_path / "e/journal.jsonl")
    journal.append_lines([b'{"event":"remark","text":"from someone else"}'])
    journal.close()
    (workshop.folder / "go").touch()
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert [event["text"] for event in workshop.events("remark")] == ["from someone else"]
    check(workshop)
