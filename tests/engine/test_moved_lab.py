"""A lab that is moved, copied or deleted while its tasks run."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Workshop, alive, until
from tests.engine.test_crashes import check

TEXT = """
command: 'echo {task_id}/{attempt} >>$TRUTH; echo $$ >>pids; while ! test -e go; do sleep 0.02; done; echo over'
repeat: 4
"""


@pytest.fixture
def run(workshop: Workshop) -> subprocess.Popen[str]:
    """A run of which two tasks have begun."""
    process = workshop.start("--run", workshop.write("e.yaml", TEXT), "--node", "localhost", 2)
    until(lambda: len(workshop.lines()) == 2 and len(workshop.events("started")) == 2)
    return process


def nothing_is_left(shop: Workshop, spool: Path) -> bool:
    pids = map(int, (shop.folder / "pids").read_text().split())
    return not shop.lab_path.exists() and not spool.exists() and not any(map(alive, pids))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_lab_that_is_moved_goes_on_at_its_new_place(
    workshop: Workshop, run: subprocess.Popen[str], at_once: bool
) -> None:
    """What ran is stopped, for its output belongs elsewhere now; it runs again from there."""
    spool, place = workshop.spool, workshop.folder / "place"
    workshop.lab_path.rename(place)
    if not at_once:
        _, err = run.communicate(timeout=40)
        assert run.returncode == 3, err
        assert "was moved or removed while its tasks ran" in err.splitlines()[-1]
        assert "--lab DIR" in err
        until(lambda: nothing_is_left(workshop, spool))
    assert workshop.call("status", "--lab", place).returncode == 0
    again = workshop.call("--run", "e.yaml", "--lab", place, "--detach")
    assert again.returncode == 0, again.stderr
    until(lambda: nothing_is_left(workshop, spool) or len(workshop.lines()) > 2)
    (workshop.folder / "go").touch()
    until(lambda: run.poll() is not None)
    workshop.lab_path = place
    assert workshop.call("--run", "e.yaml", "--lab", place).returncode == 0
    check(workshop, may_be_lost=True)
    assert len(workshop.lines()) == 6
    assert not (workshop.folder / "lab").exists()


def test_a_lab_that_is_moved_and_moved_back_has_not_noticed(workshop: Workshop, run: subprocess.Popen[str]) -> None:
    place = workshop.folder / "place"
    workshop.lab_path.rename(place)
    place.rename(workshop.lab_path)
    (workshop.folder / "go").touch()
    assert run.wait(40) == 0
    check(workshop)


def test_a_copy_of_a_running_lab_is_a_lab_of_its_own(workshop: Workshop, run: subprocess.Popen[str]) -> None:
    first, place = workshop.lab_path, workshop.folder / "place"
    shutil.copytree(first, place)
    (workshop.folder / "go").touch()
    assert run.wait(40) == 0
    check(workshop)
    workshop.truth.unlink()
    workshop.lab_path = place
    assert workshop.call("--run", "e.yaml", "--lab", place).returncode == 0
    assert Counter(task["state"] for task in workshop.tasks()) == {"done": 4}
    assert len(workshop.lines()) == 4
    workshop.lab_path = first
    assert [task["attempts"] for task in workshop.tasks()] == [1, 1, 1, 1]


def test_a_lab_that_is_deleted_is_gone(workshop: Workshop, run: subprocess.Popen[str]) -> None:
    spool = workshop.spool
    while workshop.lab_path.exists():  # files may come while it is being removed
        shutil.rmtree(workshop.lab_path, ignore_errors=True)
    _, err = run.communicate(timeout=40)
    assert run.returncode == 3, err
    assert "was moved or removed" in err.splitlines()[-1]
    until(lambda: nothing_is_left(workshop, spool))
    workshop.truth.unlink()
    (workshop.folder / "go").touch()
    assert workshop.call("--run", "e.yaml").returncode == 0
    check(workshop)
