"""One engine writes to a lab, also where the file system has no locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tui_lab.engine.client import EngineClient
from tui_lab.engine.lock import SILENCE, EngineFacts, EngineLock, process_start, take_over, touch_heartbeat
from tui_lab.store import layout
from tui_lab.store.errors import StorageError
from tui_lab.store.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.create(tmp_path / "lab")


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)


def test_another_process_does_not_get_it_and_epochs_rise(lab: Lab) -> None:
    program = f"""if True:
        from pathlib import Path
        from tui_lab.engine.lock import EngineLock
        from tui_lab.store.lab import Lab
        lock = EngineLock(Lab.open(Path({str(lab.path)!r})))
        print(lock.take(), lock.epoch)
    """

    def other() -> str:
        command = [sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    lock = EngineLock(lab)
    assert lock.take()
    assert lock.epoch == 1
    assert other() == "False 0"
    lock.release()
    assert other() == "True 2"


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_is_the_lock(lab: Lab) -> None:
    first, second = EngineLock(lab), EngineLock(lab)
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    assert second.epoch == 2
    second.release()
    assert not second.owner.exists()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_dead_owner_is_followed_a_strange_one_is_named(lab: Lab) -> None:
    lock = EngineLock(lab)
    gone = {
        "pid": os.getpid(),
        "start_time": (process_start(os.getpid()) or 0) - 1,
        "host": os.uname().nodename,
    }
    lock.owner.write_text(json.dumps(gone))
    assert lock.take()
    lock.release()
    lock.owner.write_text(json.dumps({**gone, "host": "elsewhere"}))
    with pytest.raises(StorageError, match="an engine on elsewhere"):
        lock.take()
    lock.owner.write_text("")
    assert not lock.take()


def test_a_lab_is_taken_over_from_a_silent_engine_elsewhere(lab: Lab) -> None:
    facts = EngineFacts(pid=1, start_time=1, host="elsewhere", socket="/nowhere", lab=str(lab.path))
    facts.write(lab)
    with pytest.raises(StorageError, match="elsewhere") as named:
        EngineClient.connect(lab)
    assert "--take-over" in named.value.hint
    with pytest.raises(StorageError, match="was alive"):
        take_over(lab)
    for name in (layout.ENGINE_FILE, "engine.owner"):
        path = lab.path / name
        path.write_text((lab.path / layout.ENGINE_FILE).read_text())
        os.utime(path, (0, time.time() - 2 * SILENCE))
    touch_heartbeat(lab)
    with pytest.raises(StorageError, match="was alive"):
        take_over(lab)
    for name in (layout.ENGINE_FILE, "engine.owner"):
        os.utime(lab.path / name, (0, time.time() - 2 * SILENCE))
    take_over(lab)
    assert EngineClient.connect(lab) is None
    assert EngineLock(lab).take()


def test_an_engine_here_is_not_taken_over(lab: Lab) -> None:
    EngineFacts(os.getpid(), process_start(os.getpid()) or 0, os.uname().nodename, "/nowhere").write(lab)
    os.utime(lab.path / layout.ENGINE_FILE, (0, 0))
    take_over(lab)
    assert EngineFacts.read(lab) is not None


def test_an_engine_that_its_starter_has_not_reaped_is_dead(lab: Lab) -> None:
    """The screen starts engines, and looks for them while they are its children."""
    process = subprocess.Popen(["sleep", "1000"])
    facts = EngineFacts(process.pid, process_start(process.pid) or 0, os.uname().nodename, "", str(lab.path))
    assert facts.alive
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert not facts.alive
    process.wait()
