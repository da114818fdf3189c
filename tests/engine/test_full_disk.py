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

from tests.engine.test_engine import TRUTH, WAIT, began, states
from tests.workbench import Workbench, until
from tui_lab.client.submission import Choice, prepare, submit_event
from tui_lab.engine.client import EngineClient
from tui_lab.engine.run_files import RunFiles
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.protocol.control import AskStatus, Command, Requeue, Submit, Taken
from tui_lab.store.errors import StorageError
from tui_lab.store.events import Paused, Submitted
from tui_lab.store.journal import Journal

NODES: list[NodeEntry] = [{"name": "localhost", "slots": 2, "tags": []}]


@pytest.fixture
def small_disk(workbench: Workbench) -> Iterator[Path]:
    """The lab is on a file system of its own, of a megabyte."""
    workbench.lab_path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(workbench.lab_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield workbench.lab_path
    workbench.close()
    subprocess.run(["umount", "-l", workbench.lab_path], check=True)


@pytest.mark.slow
@pytest.mark.fault
def test_a_full_disk_pauses_the_run_until_there_is_room(workbench: Workbench, small_disk: Path) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; sleep 0.02'\nrepeat: 120\n")
    run = workbench.start("--run", file, "--node", "localhost", 2, "--json")
    until(lambda: began(workbench, 10))
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
        until(lambda: fill(hole) or said.is_set())
        assert run.poll() is None
    ballast.unlink()
    assert run.wait(40) == 0
    listener.join()
    assert states(workbench) == {"done": 120}
    assert sorted(map(int, workbench.lines())) == list(range(120))


@pytest.mark.slow
@pytest.mark.fault
def test_who_stops_a_run_does_not_wait_for_room(workbench: Workbench, small_disk: Path) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; sleep 0.02'\nrepeat: 120\n")
    run = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workbench, 10))
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as hole:
        until(lambda: fill(hole) or notice(workbench))
    run.terminate()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Left. " in said and "No space left on device" in said, said
    ballast.unlink()
    workbench("--run", file)
    assert states(workbench) == {"done": 120}


def fill(file: Any) -> bool:
    """Write until nothing more fits. Return False, so that `until` goes on."""
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.fault
def test_a_disk_that_is_full_from_the_start(workbench: Workbench, small_disk: Path) -> None:
    file = workbench.write("e.yaml", "command: 'true'\n")
    with open(small_disk / "lab.json.ballast", "wb", buffering=0) as hole:
        fill(hole)
    ended = workbench("--run", file, code=3)
    assert "No space left on device" in ended.err
    assert len(ended.err.splitlines()) <= 2
    (small_disk / "lab.json.ballast").unlink()
    workbench("--run", file)


@pytest.mark.fault
def test_a_read_only_lab(workbench: Workbench, small_disk: Path) -> None:
    file = workbench.write("e.yaml", "command: 'true'\n")
    workbench("--run", file)
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    until(lambda: subprocess.run(remount, capture_output=True, check=False).returncode == 0)  # the engine is gone
    ended = workbench("--run", file, "--rerun", code=3)
    assert "ead-only file system" in ended.err
    assert states(workbench) == {"done": 1}


@pytest.mark.fault
def test_a_task_that_fills_the_disk_of_its_lab_fails_and_nothing_is_lost(
    workbench: Workbench, small_disk: Path
) -> None:
    fill = "if test {attempt} = 1; then yes >$TUI_LAB_OUTPUT/much; fi; exit 1"
    script = f"{TRUTH}; if test {{repeat}} = 3; then {fill}; fi; echo over"
    file = workbench.write("e.yaml", f"command: '{script}'\nrepeat: 30\norder: listed\nretries: 1\n")
    run = workbench.start("--run", file, "--node", "localhost", 2)
    much = small_disk / "e/tasks/0/3/much"
    until(lambda: much.exists() and "3" in workbench.lines() and notice(workbench))
    size = much.stat().st_size
    assert run.poll() is None
    much.unlink()
    assert run.wait(60) == 1
    assert size > 100_000
    counts = states(workbench)
    assert counts["failed"] >= 1
    assert counts["failed"] + counts["done"] == 30
    assert workbench.tasks()[3]["state"] == "failed"
    finished = Counter((event["task"], event["attempt"]) for event in workbench.events("finished"))
    assert set(finished.values()) == {1}
    ran = Counter(workbench.lines())
    assert all(ran[str(task["task_id"])] <= task["attempts"] for task in workbench.tasks())


def notice(workbench: Workbench) -> bool:
    """The engine waits for room."""
    client = EngineClient.connect(workbench.lab)
    if client is None:
        return False
    said: str = client.request(AskStatus()).notice
    client.close()
    return "No space left on device" in said


def submission(workbench: Workbench, file: Path) -> tuple[Submitted, int]:
    """What --run would send to the engine, with its plan on the disk already."""
    with workbench.lab.submitting():
        prepared = prepare(workbench.lab, file, Choice())
        return submit_event(prepared, NODES, False), prepared.seen


@pytest.mark.slow
@pytest.mark.fault
def test_nothing_is_taken_on_while_the_disk_takes_nothing(workbench: Workbench, small_disk: Path) -> None:
    """Neither for an experiment whose latest events are unwritten, nor for another one."""
    file = workbench.write(
        "e.yaml", f"command: '{TRUTH}; {WAIT}; test {{x}} != 1'\nparameters: {{x: {{range: [0, 60]}}}}\n"
    )
    other = workbench.write("o.yaml", "command: 'echo o >>$TRUTH'\n")
    workbench("--run", other, "--node", "localhost", 2)
    run = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workbench, 2) and len(workbench.events("started")) == 2)
    file.write_text(file.read_text().replace("60", "61"))
    other.write_text("command: 'echo o >>$TRUTH'\nrepeat: 2\n")
    wanted = [submission(workbench, file), submission(workbench, other)]
    large = "x" * 9000  # a little may still fit behind what is there
    wanted = [(structs.replace(event, argv=[large]), seen) for event, seen in wanted]
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as hole:
        fill(hole)
        (workbench.folder / "go").touch()
        until(lambda: notice(workbench))
        client = EngineClient.connect(workbench.lab)
        assert client is not None
        environment = workbench.environment
        commands: list[Command[Taken]] = [
            Submit(*wanted[0], environment),
            Requeue("e", [[0, 9]], environment, {"needs": {large: 1}}),
            Submit(*wanted[1], environment),
            Requeue("o", [[0, 0]], environment, {"needs": {large: 1}}),
        ]
        for command in commands:
            with pytest.raises(StorageError, match="No space left on device") as refused:
                client.request(command)
            assert "make room" in refused.value.hint
        ended = workbench("--run", other, code=None)
        assert ended.code == 3
        assert "No space left on device" in ended.err
        assert not workbench.events("requeued") + workbench.events("requeued", "o")
        assert client.request(AskStatus()).active == ["e"]
    ballast.unlink()
    assert run.wait(60) == 1
    assert states(workbench) == {"done": 59, "failed": 1}
    assert states(workbench, "o") == {"done": 1}
    assert len(workbench.events("submitted")) == len(workbench.events("submitted", "o")) == 1
    # What was refused is taken now, once.
    client = EngineClient.start(workbench.lab)
    for event, seen in wanted:
        for _ in range(2):
            client.request(Submit(event, seen, environment))
    until(lambda: len(workbench.events("ended")) == 2 and len(workbench.events("ended", "o")) == 2)
    assert states(workbench) == {"done": 60, "failed": 1}
    assert states(workbench, "o") == {"done": 2}
    assert Counter(workbench.lines()) == {**{str(task): 1 for task in range(61)}, "o": 2}


def test_what_is_unwritten_goes_first(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No decision is taken on a state that the disk has not got yet."""
    workbench.run_text("command: 'true'\n")
    until(lambda: workbench.engine_pid() is None)
    run = RunFiles(workbench.experiment())
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
    assert [event["event"] for event in workbench.events()[-2:]] == ["paused", "resumed"]
