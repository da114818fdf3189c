"""A disk that is full or read-only: nothing is lost, nothing is taken on that can't be written, and it is said."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.conftest import Workshop, until
from tests.engine.test_engine import TRUTH, WAIT, began, states
from tui_lab.client.submission import Choice, prepare, submit_event
from tui_lab.engine.client import EngineClient
from tui_lab.engine.run_files import RunFiles
from tui_lab.store.errors import StorageError
from tui_lab.store.events import Paused
from tui_lab.store.journal import Journal

NODES = [{"name": "localhost", "slots": 2, "tags": []}]


@pytest.fixture
def small_disk(workshop: Workshop) -> Iterator[Path]:
    """The lab is on a file system of its own, of a megabyte."""
    workshop.lab_path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(workshop.lab_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield workshop.lab_path
    workshop.close()
    subprocess.run(["umount", "-l", workshop.lab_path], check=True)


def test_a_full_disk_pauses_the_run_until_there_is_room(workshop: Workshop, small_disk: Path) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; sleep 0.02'\nrepeat: 120\n")
    run = workshop.start("--run", file, "--node", "localhost", 2, "--json")
    until(lambda: began(workshop, 10))
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as hole:
        said = threading.Event()

        def listen() -> None:
            assert run.stdout is not None
            for line in run.stdout:
                if "No space left on device" in line:
                    said.set()

        listener = threading.Thread(target=listen)
        listener.start()
        until(lambda: said.is_set() or fill(hole))
        assert run.poll() is None
    ballast.unlink()
    assert run.wait(40) == 0
    listener.join()
    assert states(workshop) == {"done": 120}
    assert sorted(map(int, workshop.lines())) == list(range(120))


def test_who_stops_a_run_does_not_wait_for_room(workshop: Workshop, small_disk: Path) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; sleep 0.02'\nrepeat: 120\n")
    run = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workshop, 10))
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as hole:
        until(lambda: fill(hole) or notice(workshop))
    run.terminate()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Left. " in said and "No space left on device" in said, said
    ballast.unlink()
    assert workshop.call("--run", file).returncode == 0
    assert states(workshop) == {"done": 120}


def fill(file: Any) -> None:
    """Write until nothing more fits."""
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass


def test_a_disk_that_is_full_from_the_start(workshop: Workshop, small_disk: Path) -> None:
    file = workshop.write("e.yaml", "command: 'true'\n")
    with open(small_disk / "lab.json.ballast", "wb", buffering=0) as hole:
        fill(hole)
    ended = workshop.call("--run", file)
    assert ended.returncode == 3, ended.stderr
    assert "No space left on device" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 2
    (small_disk / "lab.json.ballast").unlink()
    assert workshop.call("--run", file).returncode == 0


def test_a_read_only_lab(workshop: Workshop, small_disk: Path) -> None:
    file = workshop.write("e.yaml", "command: 'true'\n")
    assert workshop.call("--run", file).returncode == 0
    remount = ["mount", "-o", "remount,ro", small_disk]
    until(lambda: subprocess.run(remount, capture_output=True, check=False).returncode == 0)  # the engine is gone
    ended = workshop.call("--run", file, "--rerun")
    assert ended.returncode == 3, ended.stderr
    assert "ead-only file system" in ended.stderr
    assert states(workshop) == {"done": 1}


def test_a_task_that_fills_the_disk_of_its_lab_fails_and_nothing_is_lost(workshop: Workshop, small_disk: Path) -> None:
    fill = "if test {attempt} = 1; then yes >$TUI_LAB_OUTPUT/much; fi; exit 1"
    script = f"{TRUTH}; if test {{repeat}} = 3; then {fill}; fi; echo over"
    file = workshop.write("e.yaml", f"command: '{script}'\nrepeat: 30\norder: listed\nretries: 1\n")
    run = workshop.start("--run", file, "--node", "localhost", 2)
    much = small_disk / "e/tasks/0/3/much"
    until(lambda: much.exists() and "3" in workshop.lines() and notice(workshop))
    size = much.stat().st_size
    assert run.poll() is None
    much.unlink()
    assert run.wait(60) == 1
    assert size > 100_000
    counts = states(workshop)
    assert counts["failed"] >= 1
    assert counts["failed"] + counts["done"] == 30
    assert workshop.tasks()[3]["state"] == "failed"
    finished = Counter((event["task"], event["attempt"]) for event in workshop.events("finished"))
    assert set(finished.values()) == {1}
    ran = Counter(workshop.lines())
    assert all(ran[str(task["task_id"])] <= task["attempts"] for task in workshop.tasks())


def notice(shop: Workshop) -> bool:
    """The engine waits for room."""
    client = EngineClient.connect(shop.lab)
    if client is None:
        return False
    said: str = client.request("status")["notice"]
    client.close()
    return "No space left on device" in said


def submission(shop: Workshop, file: Path) -> dict[str, Any]:
    """What --run would send to the engine, with its plan on the disk already."""
    with shop.lab.submitting():
        prepared = prepare(shop.lab, file, Choice())
        return {"event": submit_event(prepared, NODES, False), "seen": prepared.seen}


def test_nothing_is_taken_on_while_the_disk_takes_nothing(workshop: Workshop, small_disk: Path) -> None:
    """Neither for an experiment whose latest events are unwritten, nor for another one."""
    file = workshop.write(
        "e.yaml", f"command: '{TRUTH}; {WAIT}; test {{x}} != 1'\nparameters: {{x: {{range: [0, 60]}}}}\n"
    )
    other = workshop.write("o.yaml", "command: 'echo o >>$TRUTH'\n")
    assert workshop.call("--run", other, "--node", "localhost", 2).returncode == 0
    run = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workshop, 2) and len(workshop.events("started")) == 2)
    file.write_text(file.read_text().replace("60", "61"))
    other.write_text("command: 'echo o >>$TRUTH'\nrepeat: 2\n")
    wanted = [submission(workshop, file), submission(workshop, other)]
    large = "x" * 9000  # a little may still fit behind what is there
    for fields in wanted:
        fields["event"] = structs.replace(fields["event"], argv=[large])
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as hole:
        fill(hole)
        (workshop.folder / "go").touch()
        until(lambda: notice(workshop))
        client = EngineClient.connect(workshop.lab)
        assert client is not None
        environment = workshop.environment()
        for command, fields in [
            ("submit", wanted[0]),
            ("requeue", {"experiment": "e", "tasks": [[0, 9]], "changes": {"x": large}}),
            ("submit", wanted[1]),
            ("requeue", {"experiment": "o", "tasks": [[0, 0]], "changes": {"x": large}}),
        ]:
            with pytest.raises(StorageError, match="No space left on device") as refused:
                client.request(command, environment=environment, **fields)
            assert "make room" in refused.value.hint
        ended = workshop.call("--run", other)
        assert ended.returncode == 3
        assert "No space left on device" in ended.stderr
        assert not workshop.events("requeued") + workshop.events("requeued", "o")
        assert client.request("status")["active"] == ["e"]
    ballast.unlink()
    assert run.wait(60) == 1
    assert states(workshop) == {"done": 59, "failed": 1}
    assert states(workshop, "o") == {"done": 1}
    assert len(workshop.events("submitted")) == len(workshop.events("submitted", "o")) == 1
    # What was refused is taken now, once.
    client = EngineClient.start(workshop.lab)
    for fields in wanted:
        for _ in range(2):
            client.request("submit", **fields, environment=environment)
    until(lambda: len(workshop.events("ended")) == 2 and len(workshop.events("ended", "o")) == 2)
    assert states(workshop) == {"done": 60, "failed": 1}
    assert states(workshop, "o") == {"done": 2}
    assert Counter(workshop.lines()) == {**{str(task): 1 for task in range(61)}, "o": 2}


def test_what_is_unwritten_goes_first(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No decision is taken on a state that the disk has not got yet."""
    assert workshop.run("command: 'true'\n").returncode == 0
    until(lambda: workshop.engine_pid() is None)
    run = RunFiles(workshop.experiment())
    happened = Paused(1.0, "asked", 0)
    with monkeypatch.context() as full:
        full.setattr(Journal, "append", lambda *_: 0)
        assert not run.append([happened])
        for decide in (run.resume, lambda: run.requeue([[0, 0]], {}), lambda: run.place_on(NODES, [])):
            with pytest.raises(StorageError, match="make room"):
                decide()
        assert run.unwritten == [happened]
    run.state.apply(happened)
    run.resume()
    run.journal.close()
    assert [event["event"] for event in workshop.events()[-2:]] == ["paused", "resumed"]
