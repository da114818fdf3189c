"""Requests to an engine that is frozen, is someone else's, or has gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workbench import Workbench, until
from tui_lab.cli.main import main
from tui_lab.engine.client import EngineClient
from tui_lab.engine.lock import EngineFacts, process_start
from tui_lab.protocol.control import Drain

SLEEPS = "name: e\ncommand: echo {task_id} >>$TRUTH; sleep 600\nrepeat: 3\n"


@pytest.fixture
def frozen(workbench: Workbench) -> Iterator[int]:
    """The pid of an engine with two running tasks, which a signal has stopped."""
    workbench.write("e.yaml", SLEEPS)
    workbench("--run", "e.yaml", "--node", "localhost", 2, "--detach")
    until(lambda: len(workbench.events("started")) == 2)
    pid = workbench.engine_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.slow
@pytest.mark.fault
def test_a_frozen_engine_is_named_with_a_way_out(workbench: Workbench, frozen: int) -> None:
    commands = [["status"], ["nodes"], ["pause"], ["stop"], ["clean", "e", "--state", "done", "--yes"]]
    commands += [["--run", "e.yaml", "--detach", "--rerun"], ["resume"]]
    running = [(words, workbench.start(*words)) for words in commands]
    for words, process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 3, (words, out, err)
        said = " ".join((out + err).split())
        assert f"the engine (pid {frozen} on {os.uname().nodename}) is stopped by a signal" in said, (words, said)
        assert f"`kill -9 {frozen}`" in said
    # The way out: the tasks are stopped by the next engine.
    os.kill(frozen, signal.SIGKILL)
    assert "e: stopping 3 tasks" in workbench("stop").err  # at once: its socket takes connections for a moment
    until(lambda: len(workbench.events("finished")) >= 2)
    assert {event["state"] for event in workbench.events("finished")} == {"stopped"}


@pytest.mark.slow
@pytest.mark.fault
def test_an_engine_that_is_ending_takes_connections_without_an_answer(workbench: Workbench) -> None:
    workbench.write("e.yaml", SLEEPS)
    workbench("--run", "e.yaml", "--node", "localhost", 2, "--detach")
    until(lambda: len(workbench.events("started")) == 2)
    workbench.kill_engine()
    until(lambda: workbench.engine_pid() is None)
    ending = """if True:
        import os, socket, sys
        server = socket.socket(socket.AF_UNIX)
        server.bind(sys.argv[1])
        server.listen()
        print(flush=True)
        server.accept()[0].recv(1)
        os._exit(0)
    """
    place = workbench.folder / "own"
    place.mkdir(mode=0o700)
    for words, code, said in (
        (
            ("pause",),
            3,
            "ended before it answered; run the same command again; nothing is lost, and tasks that run go on",
        ),
        (("status",), 0, "no engine is running"),
        (("stop", "e/0"), 0, "e: stopping 1 task\n"),
        (("stop",), 0, "e: stopping 2 tasks\n"),
    ):
        if words == ("stop",):
            # What was answered is in the journal already: a kill of the engine loses no stop.
            assert [event["attempts"] for event in workbench.events("stopping")] == [[[0, 1]]]
            until(lambda: any(one["task"] == 0 for one in workbench.events("finished")))  # else it is counted again
            workbench.kill_engine()
            until(lambda: workbench.engine_pid() is None)
        path = place / "-".join(words).replace("/", "-")
        with subprocess.Popen([sys.executable, "-c", ending, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            _pretend(workbench, path, process.pid)
            answer = workbench.process(*words, code=code)
            assert said in answer.out + answer.err
            process.wait(30)


@pytest.mark.slow
def test_ctrl_c_is_heard_while_an_engine_is_silent(workbench: Workbench) -> None:
    """One that accepts, and never answers."""
    workbench.write("e.yaml", "command: echo {a}\nparameters: {a: [1]}\n")
    workbench("--run", "e.yaml")
    until(lambda: workbench.engine_pid() is None)
    place = workbench.folder / "own"
    place.mkdir(mode=0o700)
    listener = Listener(place / "s")
    _pretend(workbench, place / "s", os.getpid())
    for words in (["status"], ["pause"], ["stop"]):
        process = workbench.start(*words)
        one, _ = listener.channel.accept()
        assert json.loads(one.recv(1 << 16))["command"] == "status"
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert process.returncode == 130
        assert time.monotonic() - asked < 5  # it takes a fraction of a second on a machine with nothing else to do
    (workbench.lab_path / "engine.json").unlink()


class Listener:
    """Someone who listens at a socket, and what was heard."""

    def __init__(self, path: Path) -> None:
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel.bind(str(path))
        self.channel.listen(1)


def _pretend(workbench: Workbench, path: Path, pid: int) -> None:
    facts = EngineFacts(pid, process_start(pid) or 0, os.uname().nodename, str(path), str(workbench.lab_path.resolve()))
    facts.write(workbench.lab)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be two users")
def test_nothing_is_sent_to_a_socket_of_another_user(
    workbench: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workbench.write("e.yaml", "command: echo {a}\nparameters: {a: [1]}\n")
    workbench("--run", "e.yaml")
    until(lambda: workbench.engine_pid() is None)
    place = Path("/tmp") / f"tui-lab-test-{os.getpid()}"
    place.mkdir(mode=0o777)
    program = f"""if True:
        import os, socket
        os.setgid(54321); os.setuid(54321)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind({str(place / "s")!r})
        os.chmod({str(place / "s")!r}, 0o777)
        server.listen(5)
        print("ready", flush=True)
        while True:
            one, _ = server.accept()
            print(len(one.recv(100000)), flush=True)
    """
    place.chmod(0o777)
    other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        _pretend(workbench, place / "s", other.pid)
        ran = workbench("--run", "e.yaml", "a=2", code=3)
        assert "names a socket of another user (uid 54321); nothing was sent there" in ran.err
        assert other.stdout.readline() == "0\n"
        assert "another user" in " ".join(workbench("status", code=None).out.split())
    finally:
        other.kill()
        other.communicate()
        (place / "s").unlink(missing_ok=True)
        place.rmdir()
        (workbench.lab_path / "engine.json").unlink(missing_ok=True)


def test_a_socket_where_others_may_write_is_not_trusted(workbench: Workbench) -> None:
    workbench.write("e.yaml", "command: echo {a}\nparameters: {a: [1]}\n")
    workbench("--run", "e.yaml")
    until(lambda: workbench.engine_pid() is None)
    place = workbench.folder / "open"
    place.mkdir()
    place.chmod(0o777)
    listener = Listener(place / "s")
    _pretend(workbench, place / "s", os.getpid())
    workbench("--run", "e.yaml", "a=2", code=3)
    one, _ = listener.channel.accept()
    assert one.recv(1000) == b""
    (workbench.lab_path / "engine.json").unlink()


def test_without_linux_it_says_so_at_the_start(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workbench.write("e.yaml", "command: echo {a}\nparameters: {a: [1]}\n")
    monkeypatch.chdir(workbench.folder)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["--run", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tui-lab: running tasks needs Linux, this is darwin; run tui-lab on a Linux machine")
    assert said.count("\n") == 1
    assert not workbench.lab_path.exists()


@pytest.mark.slow
def test_without_linux_results_can_be_looked_at(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "command: echo {a}\nparameters: {a: [1]}\nmetrics: {m: {run: exec >&- 2>&-, pattern: (.*)}}\n"
    file = workbench.write("e.yaml", text)
    workbench("--run", "e.yaml")
    until(lambda: workbench.engine_pid() is None)
    monkeypatch.chdir(workbench.folder)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(socket, "SO_PEERCRED")
    for name in ("sched_getaffinity", "fdatasync", "pidfd_open", "waitid", "posix_fadvise"):
        monkeypatch.delattr(os, name)
    commands = [["plan", str(file), "a=2"], ["check", str(file), str(workbench.lab_path)], ["parse", "e"], ["stop"]]
    commands += [["show", "0"], ["query", "SELECT m FROM e"], ["clean", "e", "--state", "done", "--yes"], ["status"]]
    for words in commands:
        status = main([*words, "--lab", str(workbench.lab_path)] if words[0] != "check" else words)
        assert status == 0, (words, capsys.readouterr().err)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be two users")
def test_someone_else_has_taken_the_name_of_the_folder_in_tmp() -> None:
    """A further folder serves, which is found again, also where the common name is free again."""
    uid = 54000 + os.getpid() % 1000
    taken = Path(f"/tmp/tui-lab-{uid}")
    program = f"""if True:
        import os, sys
        from tui_lab.engine.agent.spool import spool_path, user_folder
        from tui_lab.engine.paths import runtime_folder
        os.environ.pop("XDG_RUNTIME_DIR", None)
        os.setgid({uid}); os.setuid({uid})
        spool = spool_path("lab-node")
        os.makedirs(spool, exist_ok=True)
        print(spool)
        print(runtime_folder())
    """

    def found() -> list[str]:
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split()

    folders = [taken]
    try:
        kinds: tuple[Callable[[], None], ...] = (taken.mkdir, taken.touch, lambda: taken.symlink_to("/tmp"))
        for make in kinds:
            make()
            spool, sockets = found()
            assert spool == f"{sockets}/lab-node"
            assert sockets.startswith(f"/tmp/tui-lab-{uid}.")
            folders = [taken, *Path("/tmp").glob(f"tui-lab-{uid}.*")]
            assert len(folders) == 2
            assert folders[1].stat().st_mode & 0o777 == 0o700
            assert folders[1].stat().st_uid == uid
            taken.rmdir() if taken.is_dir() and not taken.is_symlink() else taken.unlink()
        assert found() == [spool, str(taken)]
    finally:
        for path in folders:
            shutil.rmtree(path, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, "{"])
def test_an_engine_says_again_where_it_is(workbench: Workbench, content: str | None) -> None:
    """Someone has removed or damaged engine.json."""
    workbench.write("e.yaml", SLEEPS)
    workbench("--run", "e.yaml", "--node", "localhost", 1, "--detach")
    pid = workbench.engine_pid()
    path = workbench.lab_path / "engine.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    until(lambda: workbench.engine_pid() == pid, 60)
    workbench("stop")


@pytest.mark.slow
def test_a_run_that_ends_with_open_tasks_does_not_end_well(workbench: Workbench) -> None:
    """Here someone else has interrupted it."""
    workbench.write("e.yaml", "name: e\ncommand: while ! test -e go; do sleep 0.02; done\nrepeat: 3\n")
    run = workbench.start("--run", "e.yaml", "--node", "localhost", 1)
    until(lambda: len(workbench.events("started")) == 1)
    client = EngineClient.connect(workbench.lab)
    assert client is not None
    client.request(Drain("e"))
    client.close()
    (workbench.folder / "go").touch()
    _, err = run.communicate(timeout=60)
    assert run.returncode == 3, err
    assert "2 tasks of e did not end: someone else interrupted the run; the same command continues" in err
    workbench("--run", "e.yaml")
