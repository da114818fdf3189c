"""Keys that are typed before the screen is there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import tty

from tests.workbench import Workbench, until
from tui_lab.tui.app.entry import EarlyKeys


def test_a_key_that_a_terminal_takes_for_itself_is_kept() -> None:
    terminal, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    early = EarlyKeys(slave)
    early.take()
    os.write(terminal, b"\x12\x13\x16\r")  # ctrl+r, ctrl+s, ctrl+v
    tty.setraw(slave, termios.TCSANOW)  # as the screen does when it is there
    assert os.read(slave, 9) == b"\x12\x13\x16\r"
    for _ in range(2):
        early.give_back()
        assert termios.tcgetattr(slave) == before
    os.close(terminal)
    os.close(slave)


def test_a_key_of_the_first_moment_acts_and_the_terminal_is_given_back_as_it_was(workbench: Workbench) -> None:
    workbench.write("e.yaml", "command: echo 1\n")
    terminal, slave = pty.openpty()
    before = termios.tcgetattr(terminal)
    screen = subprocess.Popen(
        [sys.executable, "-m", "tui_lab", "e.yaml"],
        cwd=workbench.folder, env={**workbench.environment, "TERM": "xterm-256color"},
        stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: not termios.tcgetattr(terminal)[3] & termios.ICANON)
        assert not select.select([terminal], [], [], 0)[0], "the screen is not there yet"
        os.write(terminal, b"\x12")  # ctrl+r
        seen = b""
        while b"Run 1 task" not in seen:
            assert select.select([terminal], [], [], 20)[0], seen
            seen += os.read(terminal, 1 << 16)
        screen.terminate()
        while (more := select.select([terminal], [], [], 0.1)[0]) or screen.poll() is None:
            if more:
                os.read(terminal, 1 << 16)
        assert termios.tcgetattr(terminal) == before
    finally:
        screen.kill()
        screen.wait()
        os.close(terminal)
        os.close(slave)
