"""An agent that is a process of somebody else's: it stays in the foreground, and ends with what has started it."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Iterator

import pytest

from tests.engine.agent import talk as agent_talk
from tests.engine.agent.talk import PATIENCE, Talk
from tests.workbench import until
from tui_lab.engine.agent_bundle import bundle, packed
from tui_lab.engine.transports import channel
from tui_lab.engine.transports.channel import GREETING, MARK, boot_command


class Stay:
    """An agent in the foreground, and the talk with it by relays that start nothing."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        talk.mode = "attach"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, leave: str = "600") -> subprocess.Popen[bytes]:
        """Start the agent, as a batch script would."""
        process = self.process = subprocess.Popen(
            [*boot_command(self.talk.python, self.talk.spool_name, "stay"), leave],
            env=self.talk.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == GREETING
        process.stdin.write(MARK + packed())
        process.stdin.close()
        return process

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(PATIENCE)
            for stream in (self.process.stdout, self.process.stderr):
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


def test_it_leaves_when_nobody_needs_it(stay: Stay) -> None:
    assert stay.start(leave="0.2").wait(PATIENCE) == 0
    assert not stay.talk.spool.exists()


def test_a_relay_that_attaches_starts_nothing(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = bundle()
    assert "START_TIMEOUT = 20.0" in text
    source = zlib.compress(text.replace("START_TIMEOUT = 20.0", "START_TIMEOUT = 0.1").encode())
    monkeypatch.setattr(channel, "packed", lambda: source)
    monkeypatch.setattr(agent_talk, "packed", lambda: source)
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
