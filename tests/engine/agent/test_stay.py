"""An agent that is a process of somebody else's: it stays in the foreground, and ends with what has started it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.agent.talk import PATIENCE, Talk
from tests.engine.agent.test_call_servers import ask, printed, serve
from tests.workbench import alive, until
from tui_lab.engine.agent_bundle import bundle
from tui_lab.engine.transports import channel
from tui_lab.engine.transports.channel import GREETING, Mode, boot_command, boot_input


class Stay:
    """An agent in the foreground, and the talk with it by relays that start nothing."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        talk.mode = "attach"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, mode: Mode = "stay", *, leave: str = "600") -> subprocess.Popen[bytes]:
        """Start the agent, as a batch script would, or somebody who holds it on a leash."""
        process = self.process = subprocess.Popen(
            [*boot_command(self.talk.python, self.talk.spool_name, mode), leave],
            env=self.talk.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == GREETING
        process.stdin.write(boot_input())
        process.stdin.flush()
        if mode == "stay":
            process.stdin.close()
        return process

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(PATIENCE)
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()


@pytest.fixture
def stay(talk: Talk) -> Iterator[Stay]:
    stay = Stay(talk)
    try:
        yield stay
    finally:
        stay.end()


@pytest.fixture
def any_stay(any_talk: Talk) -> Iterator[Stay]:
    stay = Stay(any_talk)
    try:
        yield stay
    finally:
        stay.end()


def test_it_stays_until_the_engine_says_bye(any_stay: Stay) -> None:
    talk, process = any_stay.talk, any_stay.start()
    assert talk.connect()["pid"] == process.pid  # in the foreground
    talk.context()
    first = talk.start(0, "echo one")
    assert talk.receive("finished")["state"] == "done"
    talk.hang_up()  # the next relay finds the same agent
    assert talk.connect()["open"] == [first] and talk.pid == process.pid
    assert talk.receive("finished")["key"] == first
    talk.ack(first)
    talk.send({"type": "bye"})
    assert process.wait(PATIENCE) == 0
    until(lambda: not talk.spool.exists())


ESCAPES = "setsid sh -c 'echo $$ >escaped; exec sleep 60' & echo $$ >own; trap '' TERM; while :; do sleep 0.05; done"


def escapes(talk: Talk, task: int) -> list[int]:
    """Start a task that ignores TERM and has a child in a session of its own; both pids."""
    talk.start(task, ESCAPES, workdir=str(talk.output(task)))
    talk.receive("started")
    return [number(talk.output(task) / name) for name in ("own", "escaped")]


def number(file: Path) -> int:
    until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def test_nothing_outlives_an_agent_that_was_killed(any_stay: Stay) -> None:
    talk, process = any_stay.talk, any_stay.start()
    talk.connect(slots=3)
    talk.context()
    pids = escapes(talk, 0)
    serve(
        talk,
        "import os, time\ndef call(what, seed=0):\n    print(os.getpid(), flush=True)\n    time.sleep(60)\n",
        id="f",
    )
    ask(talk, 1, "sleep", context="f")
    pids += printed(talk, 1)
    talk.context(id="s", setup=f"echo $$ >{talk.folder}/setup; sleep 60")
    talk.start(2, "true", context="s")
    pids.append(number(talk.folder / "setup"))
    assert all(map(alive, pids))
    process.kill()
    until(lambda: not any(map(alive, pids)))
    until(lambda: not talk.spool.exists())


@pytest.mark.parametrize("stopped", [False, True], ids=["at work", "stopped"])
def test_nothing_outlives_the_leash(stay: Stay, stopped: bool) -> None:
    talk, process = stay.talk, stay.start("leash")
    talk.connect()
    talk.context()
    pids = escapes(talk, 0)
    if stopped:  # then its shim ends the tasks
        process.send_signal(signal.SIGSTOP)
    assert process.stdin is not None
    process.stdin.close()  # as when the process that holds it is killed
    until(lambda: not any(map(alive, pids)))
    process.send_signal(signal.SIGCONT)
    assert process.wait(PATIENCE) == 0
    until(lambda: not talk.spool.exists())


# --- The end of what it runs in


def finished(talk: Talk, count: int) -> dict[int, tuple[Any, ...]]:
    """How so many tasks have ended."""
    ends = [talk.receive("finished") for _ in range(count)]
    talk.ack(*[end["key"] for end in ends])
    return {end["key"][1]: (end["state"], end.get("reason"), end.get("signal", end.get("exit_code"))) for end in ends}


def test_term_for_all_is_nobodys_fault(any_stay: Stay) -> None:
    """Batch systems send TERM to each process of a job: to the tasks perhaps before the agent."""
    talk, process = any_stay.talk, any_stay.start()
    talk.connect(slots=3)
    talk.context()
    talk.start(0, "exec sleep 60")
    talk.start(1, "trap 'exit 0' TERM; echo >ready; while :; do sleep 0.02; done", workdir=str(talk.folder))
    talk.start(2, "true")
    pids = {one["key"][1]: one["pid"] for one in [talk.receive("started") for _ in range(3)]}
    done = talk.receive("finished")
    assert (done["key"][1], done["state"]) == (2, "done")
    talk.start(3, "exec sleep 60")
    talk.receive("started")
    waiting = talk.start(4, "true")
    until((talk.folder / "ready").exists)
    os.kill(pids[0], signal.SIGTERM)
    until(lambda: not alive(pids[0]))
    time.sleep(0.1)  # less than an end by a signal is held back
    process.send_signal(signal.SIGTERM)
    assert talk.receive("ending")["left"] > 10
    assert talk.receive("returned")["keys"] == [waiting]
    assert finished(talk, 3) == {
        0: ("lost", "cancelled", 143),
        1: ("lost", "cancelled", 0),  # it has stopped half-way
        3: ("lost", "cancelled", 143),
    }
    talk.ack(done["key"])
    assert process.wait(PATIENCE) == 0
    assert not talk.spool.exists()


def test_what_ends_by_a_signal_alone_has_failed(stay: Stay) -> None:
    talk = stay.talk
    stay.start()
    talk.connect(slots=2)
    talk.context()
    talk.start(0, "kill $$")
    talk.start(1, "sleep 60 & kill -9 $$")
    assert finished(talk, 2) == {0: ("failed", "signal", 15), 1: ("failed", "signal", 9)}


def test_a_stop_is_not_held_back(stay: Stay) -> None:
    talk = stay.talk
    stay.start()
    talk.connect()
    talk.context()
    key = talk.start(0, "exec sleep 60")
    talk.receive("started")
    began = time.monotonic()
    talk.stop(key)
    assert finished(talk, 1) == {0: ("stopped", "stopped", 143)}
    assert time.monotonic() - began < 0.9


def test_an_ending_agent_takes_nothing_new(stay: Stay) -> None:
    talk, process = stay.talk, stay.start()
    talk.connect(slots=1)
    talk.context()
    go = talk.folder / "go"
    talk.start(0, f"while ! test -e {go}; do sleep 0.02; done")
    first = talk.start(1, "true")
    talk.receive("started")
    process.send_signal(signal.SIGUSR1)
    assert talk.receive("ending")["left"] is None
    assert talk.receive("returned")["keys"] == [first]
    second = talk.start(2, "true")
    assert talk.receive("returned")["keys"] == [second]
    talk.connect(epoch=2, slots=1)  # the next engine hears of it, too
    assert talk.receive("ending", "returned")["type"] == "ending"
    go.touch()
    assert finished(talk, 1) == {0: ("done", None, 0)}
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_term_without_an_engine_ends_it_soon(stay: Stay) -> None:
    talk, process = stay.talk, stay.start()
    talk.connect()
    talk.context()
    talk.start(0, "exec sleep 60")
    pid = talk.receive("started")["pid"]
    talk.hang_up()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not alive(pid) and not talk.spool.exists()


def test_what_does_not_fit_in_the_time_that_is_left_goes_back(talk: Talk) -> None:
    welcome = time.time()
    talk.connect(slots=1, ends_in=1000.0)
    talk.context()
    talk.start(0, 'echo "$TUI_LAB_DEADLINE"', takes=900.0)
    long = talk.start(1, "true", takes=2000.0)
    talk.start(2, "true")  # nobody knows how long it takes
    assert finished(talk, 1) == {0: ("done", None, 0)}
    assert talk.receive("returned")["keys"] == [long]
    assert finished(talk, 1) == {2: ("done", None, 0)}
    assert 990 < int((talk.output(0) / "stdout").read_text()) - welcome < 1030
    talk.send({"type": "deadline", "ends_in": 4.0})
    unknown = talk.start(3, "true")  # with a grace of 5 s
    assert talk.receive("returned")["keys"] == [unknown]
    talk.send({"type": "deadline", "ends_in": None})
    talk.start(4, 'echo "${TUI_LAB_DEADLINE-none}"', takes=2000.0)
    assert finished(talk, 1)[4] == ("done", None, 0)
    assert (talk.output(4) / "stdout").read_text() == "none\n"


def test_at_the_deadline_tasks_are_cut_off(stay: Stay) -> None:
    talk, process = stay.talk, stay.start()
    talk.connect(slots=2, ends_in=1000.0)
    talk.context()
    talk.start(0, "exec sleep 60")
    talk.receive("started")
    talk.send({"type": "deadline", "ends_in": 2.1, "reason": "preempted"})
    assert talk.receive("ending")["left"] > 1
    assert finished(talk, 1) == {0: ("lost", "preempted", 143)}
    assert process.wait(PATIENCE) == 0


def test_it_offers_no_more_than_it_was_granted(stay: Stay) -> None:
    talk = stay.talk
    talk.environment["TUI_LAB_OFFERS"] = "cpus=1 memory= memory_per_cpu=64M other=7 odd"
    stay.start()
    welcome = talk.connect(slots=0)
    assert (welcome["cores"], welcome["slots"], welcome["memory"]) == (1, 1, 64 << 20)
    talk.context(environment=None)
    talk.start(0, 'echo "${TUI_LAB_OFFERS-none}"', needs={"memory": 64 << 20})
    talk.start(1, "true", needs={"memory": 65 << 20})
    talk.start(2, "true", needs={"cpus": 2})
    assert sorted(finished(talk, 3).items()) == [
        (0, ("done", None, 0)),
        (1, ("failed", "start", None)),
        (2, ("failed", "start", None)),
    ]
    assert (talk.output(0) / "stdout").read_text() == "none\n"


# --- Without an engine


def test_it_leaves_when_nobody_needs_it(stay: Stay) -> None:
    assert stay.start(leave="0.2").wait(PATIENCE) == 0
    assert not stay.talk.spool.exists()


def test_a_relay_that_attaches_starts_nothing(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = bundle()
    assert "START_TIMEOUT = 20.0" in text
    source = zlib.compress(text.replace("START_TIMEOUT = 20.0", "START_TIMEOUT = 0.1").encode())
    monkeypatch.setattr(channel, "packed", lambda: source)
    talk.mode = "attach"
    talk.open()
    assert talk.receive_end() == "there is no agent\n"
    assert talk.relay is not None and talk.relay.returncode == 75
    assert not talk.spool.exists()


def test_two_agents_never_share_a_spool(stay: Stay) -> None:
    stay.start()
    stay.talk.connect()
    second = Stay(stay.talk)
    try:
        process = second.start()
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None and process.stderr.read() == b"another agent runs there\n"
    finally:
        second.end()
