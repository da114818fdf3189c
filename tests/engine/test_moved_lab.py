"""A lab that is moved, copied or deleted while its tasks run."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.engine.test_crashes import check
from tests.workbench import Workbench, alive, until

TEXT = """
command: 'echo {task_id}/{attempt} >>$TRUTH; echo $$ >>pids; while ! test -e go; do sleep 0.02; done; echo over'
repeat: 4
"""


@pytest.fixture
def run(workbench: Workbench) -> subprocess.Popen[str]:
    """A run of which two tasks have begun."""
    process = workbench.start("--run", workbench.write("e.yaml", TEXT), "--node", "localhost", 2)
    until(lambda: len(workbench.lines()) == 2 and len(workbench.events("started")) == 2)
    return process


def nothing_is_left(workbench: Workbench, spool: Path) -> bool:
    pids = map(int, (workbench.folder / "pids").read_text().split())
    return not workbench.lab_path.exists() and not spool.exists() and not any(map(alive, pids))


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [True, False])
def test_a_lab_that_is_moved_goes_on_at_its_new_place(
    workbench: Workbench, run: subprocess.Popen[str], at_once: bool
) -> None:
    """What ran is stopped, for its output belongs elsewhere now; it runs again from there."""
    spool, place = workbench.spool, workbench.folder / "place"
    workbench.lab_path.rename(place)
    if not at_once:
        _, err = run.communicate(timeout=40)
        assert run.returncode == 3, err
        assert "was moved or removed while its tasks ran" in err.splitlines()[-1]
        assert "--lab DIR" in err
        until(lambda: nothing_is_left(workbench, spool))
    workbench("status", "--lab", place)
    workbench("--run", "e.yaml", "--lab", place, "--detach")
    until(lambda: nothing_is_left(workbench, spool) or len(workbench.lines()) > 2)
    (workbench.folder / "go").touch()
    until(lambda: run.poll() is not None)
    workbench.lab_path = place
    workbench("--run", "e.yaml", "--lab", place)
    check(workbench, may_be_lost=True)
    assert len(workbench.lines()) == 6
    assert not (workbench.folder / "lab").exists()


def test_a_lab_that_is_moved_and_moved_back_has_not_noticed(workbench: Workbench, run: subprocess.Popen[str]) -> None:
    place = workbench.folder / "place"
    workbench.lab_path.rename(place)
    place.rename(workbench.lab_path)
    (workbench.folder / "go").touch()
    assert run.wait(40) == 0
    check(workbench)


def test_a_copy_of_a_running_lab_is_a_lab_of_its_own(workbench: Workbench, run: subprocess.Popen[str]) -> None:
    first, place = workbench.lab_path, workbench.folder / "place"
    shutil.copytree(first, place)
    (workbench.folder / "go").touch()
    assert run.wait(40) == 0
    check(workbench)
    workbench.truth.unlink()
    workbench.lab_path = place
    workbench("--run", "e.yaml", "--lab", place)
    assert Counter(task["state"] for task in workbench.tasks()) == {"done": 4}
    assert len(workbench.lines()) == 4
    workbench.lab_path = first
    assert [task["attempts"] for task in workbench.tasks()] == [1, 1, 1, 1]


@pytest.mark.slow
def test_a_lab_that_is_deleted_is_gone(workbench: Workbench, run: subprocess.Popen[str]) -> None:
    spool = workbench.spool
    while workbench.lab_path.exists():  # files may come while it is being removed
        shutil.rmtree(workbench.lab_path, ignore_errors=True)
    _, err = run.communicate(timeout=40)
    assert run.returncode == 3, err
    assert "was moved or removed" in err.splitlines()[-1]
    until(lambda: nothing_is_left(workbench, spool))
    workbench.truth.unlink()
    (workbench.folder / "go").touch()
    workbench("--run", "e.yaml")
    check(workbench)
