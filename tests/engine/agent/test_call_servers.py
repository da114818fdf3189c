"""Servers that fork calls of functions, as an engine meets them: under every Python that is here."""

from __future__ import annotations

import json
import os
import shlex
import signal
import textwrap
from pathlib import Path
from typing import Any

from tests.engine.agent.talk import Talk
from tests.workbench import alive, until
from tui_lab.engine.lock import process_start
from tui_lab.engine.tasks.function_call import RUNNER, runner
from tui_lab.portable.starter import CALL

MODULE = """\
    import ctypes, os, signal, subprocess, sys, time
    with open("imports", "a") as file:
        file.write("%d\\n" % os.getpid())
    print("imported with", os.environ["THREADS"], os.environ.get("TUI_LAB_TASK_ID"))
    COUNT = 0
    LOG = None
    TABLE = ""

    class Own:
        opener = open

    try:
        with Own().opener("table") as file:
            TABLE = file.read()
    except FileNotFoundError:
        pass

    def again(what):
        return {"again": what, "server": os.getppid()}

    if os.environ["THREADS"] == "log":
        LOG = open("log", "w")

    def call(what, seed=0):
        global COUNT
        COUNT += 1
        if what == "look":
            me = os.getpid()
            return {"count": COUNT, "table": TABLE, "own": os.getsid(0) == os.getpgrp() == me, "dir": os.getcwd(),
                    "env": os.environ.get("MINE", ""), "task": int(os.environ["TUI_LAB_TASK_ID"]),
                    "files": len(os.listdir("/proc/self/fd")), "term": signal.getsignal(signal.SIGTERM) == 0,
                    "server": os.getppid()}
        if what == "log":
            LOG.write("written at the end")
            sys.exit()
        if what == "change":
            os.environ["MINE"] = "x"
            os.chdir("/")
            sys.path.insert(0, "/nowhere")
            print("no newline", end="")
        if what == "_exit":
            os._exit(4)
        if what == "exit":
            sys.exit(3)
        if what == "segfault":
            ctypes.string_at(0)
        if what == "raise":
            raise ValueError("no")
        if what == "linger":
            left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            print(left.pid, flush=True)
        if what == "sleep":
            child = subprocess.Popen(["sleep", "1000"])
            print(child.pid, flush=True)
            time.sleep(1000)
        if what == "wait":
            while not os.path.exists("go"):
                time.sleep(0.01)
"""
AT_EXIT = """\
    import atexit, sys

    class Copy:
        def write(self, text):
            sys.__stdout__.write(text)

    sys.stdout = Copy()

    def call(what, seed=0):
        atexit.register(print, "at the end")
        print("printed")
"""


def serve(talk: Talk, code: str = MODULE, name: str = "call", **more: Any) -> None:
    """Send a context whose tasks call a function that a server imports."""
    file, text = talk.folder / "m.py", textwrap.dedent(code)
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
    call: dict[str, Any] = {"folder": str(talk.folder), "file": "m.py", "module": None, "name": name}
    call |= {"args": {}, "text": "m.py::call"}
    program = f'import os; exec(os.environ.pop("{RUNNER}"))'
    script = f"exec {shlex.quote(talk.python)} -c {shlex.quote(program)}"
    extra = {RUNNER: runner(), CALL: json.dumps(call), "THREADS": "2"}
    talk.context(extra=extra, steps=[{"name": None, "script": script}], serve_calls=True, **more)


def ask(talk: Talk, task: int, what: str, env: dict[str, str] | None = None, **more: Any) -> list[Any]:
    """Start a call; its key."""
    attempt = more.get("attempt", 1)
    values = {"output": talk.output(task), "task_id": task, "repeat": 0, "seed": 5, "attempt": attempt}
    given = {f"TUI_LAB_{name.upper()}": str(value) for name, value in values.items()}
    given |= {"TUI_LAB_EXPERIMENT": "e", "TUI_LAB_NODE": "here", "TUI_LAB_PARAMS": json.dumps({"what": what})}
    message = {"steps": 1, "scripts": None, "exception": "exception.json", "env": given | (env or {})}
    return talk.start(task, **{**message, **more})


def ended(talk: Talk, task: int) -> dict[str, Any]:
    """The end of a task, which is acknowledged."""
    while True:
        message = talk.receive("finished")
        if message["key"][1] == task:
            talk.ack(message["key"])
            return message


def returned(talk: Talk, task: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((talk.output(task) / "returned.json").read_text())["metrics"]
    return found


def imports(talk: Talk) -> list[int]:
    """The processes that have imported the module."""
    file = talk.folder / "imports"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def printed(talk: Talk, task: int) -> list[int]:
    """The pids that a task prints, once it has."""
    return until(lambda: [int(line) for line in read(talk.output(task) / "stdout") if line.isdigit()])  # type: ignore[no-any-return]


def read(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_calls_are_as_apart_as_processes(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    serve(talk)
    ask(talk, 0, "change")
    assert ended(talk, 0)["state"] == "done"
    assert (talk.output(0) / "stdout").read_text() == "imported with 2 None\nno newline"
    ask(talk, 1, "look")
    assert ended(talk, 1)["cpu_time"] > 0
    (server,) = imports(talk)
    expected = {
        "count": 1,
        "own": True,
        "table": "",
        "dir": str(talk.folder),
        "env": "",
        "task": 1,
        "files": 4,
        "term": True,
    }
    assert returned(talk, 1) == {**expected, "server": server}
    # Other functions of the module share the import, also those of another submission.
    serve(talk, name="again", id="another")
    ask(talk, 30, "x", context="another")
    assert ended(talk, 30)["state"] == "done"
    assert (talk.output(30) / "stdout").read_text() == "imported with 2 None\n"
    assert returned(talk, 30) == {"again": "x", "server": server}
    serve(talk, name="nowhere", id="missing")
    ask(talk, 31, "x", context="missing")
    assert ended(talk, 31)["raised"]["message"] == "m.py::call: there is no function nowhere"
    assert imports(talk) == [server]
    ask(talk, 2, "_exit")
    assert ended(talk, 2)["exit_code"] == 4
    ask(talk, 3, "exit")
    assert ended(talk, 3)["exit_code"] == 3
    ask(talk, 4, "segfault")
    assert ended(talk, 4)["signal"] == signal.SIGSEGV
    ask(talk, 5, "raise")
    raised = ended(talk, 5)
    assert (raised["reason"], raised["raised"]["message"]) == ("exception", "no")
    assert read(talk.output(5) / "stderr")[-1] == "ValueError: no"
    # A time limit, and what has left its session, end with the call.
    ask(talk, 6, "sleep", timeout=0.3)
    assert ended(talk, 6)["reason"] == "timeout"
    ask(talk, 7, "linger")
    assert ended(talk, 7)["leftover"] == 1
    for pid in printed(talk, 6) + printed(talk, 7):
        assert not alive(pid)
    assert imports(talk) == [server]
    # What a file has not written yet is not lost.
    ask(talk, 8, "log", {"THREADS": "log"})
    assert ended(talk, 8)["state"] == "done"
    assert (talk.folder / "log").read_text() == "written at the end"
    # A variable that the import may see has a server of its own; one of many values has none.
    for task in range(10, 18):
        ask(talk, task, "look", {"THREADS": str(task)})
        assert ended(talk, task)["state"] == "done"
        assert f"imported with {task} " in (talk.output(task) / "stdout").read_text()
    # Code that has changed is imported again, and so is what the import has read.
    serve(talk, MODULE.replace("imported with", "imported again with"), id="other")
    ask(talk, 20, "look", context="other")
    ended(talk, 20)
    serve(talk, MODULE.replace("imported with", "changed with"))
    ask(talk, 21, "look", context="other")
    ended(talk, 21)
    assert (talk.output(21) / "stdout").read_text().startswith("changed with 2")
    (talk.folder / "table").write_text("new")
    ask(talk, 22, "look", context="other")
    ended(talk, 22)
    assert returned(talk, 22)["table"] == "new"
    servers = set(imports(talk))
    talk.send({"type": "bye"})
    assert talk.receive_end() == ""
    until(lambda: not talk.spool.exists() and not any(map(alive, servers)))


def test_statuses_survive_the_agent_and_a_dead_server_loses_its_calls(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    serve(talk)
    key = ask(talk, 0, "wait")
    talk.receive("started")
    talk.kill()
    (talk.folder / "go").touch()
    (server,) = imports(talk)
    until(lambda: not alive(server))  # nobody asks it for anything any more
    welcome = talk.connect(epoch=2)
    assert welcome["open"] == [key]
    assert ended(talk, 0)["state"] == "done"
    serve(talk)
    for task in (1, 2):
        ask(talk, task, "sleep")
    calls = [talk.receive("started")["pid"] for _ in range(2)]
    children = printed(talk, 1) + printed(talk, 2)
    server = imports(talk)[-1]
    begun = process_start(server)
    os.kill(server, signal.SIGKILL)
    ends = [talk.receive("finished") for _ in range(2)]
    assert [end["state"] for end in ends] == ["lost", "lost"]
    until(lambda: not any(map(alive, calls + children)))
    assert process_start(server) != begun
    ask(talk, 1, "look", attempt=2)
    assert ended(talk, 1)["state"] == "done"
    assert returned(talk, 1)["server"] == imports(talk)[-1] != server


def test_where_a_fork_differs_from_a_process_there_is_none(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    # Threads of the import would be missing in a fork.
    thread = "threading.Thread(target=time.sleep, args=(1,), daemon=True)"
    serve(talk, f"import threading, time\n{thread}.start()\ndef call(what, seed=0):\n    pass\n")
    ask(talk, 0, "a")
    assert (
        talk.receive("notice")["text"] == "the import of m.py::call starts threads; each call is a process of its own"
    )
    assert ended(talk, 0)["state"] == "done"
    # An import that fails, or ends its process, does so in each call; one that hangs can be stopped.
    serve(talk, "import os\nos.environ['TUI_LAB_OUTPUT']\nos._exit(5)\n", id="exits")
    for task in (1, 2):
        ask(talk, task, "a", context="exits")
        assert ended(talk, task)["exit_code"] == 5
    serve(talk, "import os, time\nopen('hangs', 'w').write(str(os.getpid()))\ntime.sleep(1000)\n", id="hangs")
    key = ask(talk, 3, "a", context="hangs")
    ask(talk, 4, "a", context="hangs", timeout=0.5)
    assert ended(talk, 4)["reason"] == "timeout"
    talk.stop(key)
    assert ended(talk, 3)["state"] == "stopped"
    (pid,) = read(talk.folder / "hangs")
    until(lambda: not alive(int(pid)))
    # A call ends as its interpreter would, also where that isn't taken apart.
    serve(talk, AT_EXIT, id="plain")
    ask(talk, 5, "a", context="plain")
    assert ended(talk, 5)["state"] == "done"
    assert read(talk.output(5) / "stdout") == ["printed", "at the end"]
    # What changes while it is imported is imported again.
    wait = "while not os.path.exists('done'):\n    time.sleep(0.01)\n"
    code = "import os, time\nprint('old')\nopen('begun', 'w').close()\n" + wait + "def call(what, seed=0):\n    pass\n"
    serve(talk, code, id="slow")
    ask(talk, 6, "a", context="slow")
    until((talk.folder / "begun").exists)
    serve(talk, code.replace("old", "new"), id="slow")
    (talk.folder / "done").touch()
    assert ended(talk, 6)["state"] == "done"
    assert read(talk.output(6) / "stdout") == ["new"]
