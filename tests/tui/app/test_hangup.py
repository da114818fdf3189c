"""A terminal that goes away, and signals: the screen ends in order, and the run goes on."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.app.test_in_terminal import PROGRAM, Terminal, leave
from tests.tui.app.test_in_terminal import pytestmark as needs_tmux
from tests.workbench import Workbench, alive, until


@pytest.mark.fault
def test_the_screen_ends_with_its_terminal_and_the_run_goes_on(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", f"command: until [ -e {workbench.folder}/go ]; do sleep 0.05; done\n")
    workbench.process("--run", file, "--detach")
    engine = until(workbench.engine_pid)
    # A terminal that is not the one of a session: no signal tells that it is gone.
    terminal, slave = pty.openpty()
    screen = subprocess.Popen(
        [sys.executable, "-m", "tui_lab", str(workbench.lab_path)],
        cwd=workbench.folder, env={**workbench.environment, "TERM": "xterm-256color"},
        stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        seen = b""
        while b"going" not in seen:
            assert select.select([terminal], [], [], 20)[0], seen
            seen += os.read(terminal, 1 << 16)
        os.close(terminal)
        assert screen.wait(20) == 0
        assert alive(engine)
        (workbench.folder / "go").touch()
        until(lambda: workbench.experiment().state().counts_by_name()["done"] == 1)
    finally:
        screen.kill()
        screen.wait()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.slow
@needs_tmux
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_leaves_in_order(workbench: Workbench, number: int, status: int) -> None:
    workbench.write("e.yaml", "command: echo {a}\nparameters: {a: [1, 2]}\n")
    terminal = Terminal(workbench.folder)
    try:
        terminal.wait("READY")
        terminal.type(f"{PROGRAM} e.yaml; echo status=$?\n")
        terminal.wait("2 tasks to run")
        terminal.press("i")
        terminal.type("# never saved\n")
        terminal.wait("# never saved")
        os.kill(child_of(int(terminal.tmux("display", "-p", "#{pane_pid}"))), number)
        terminal.wait(f"status={status}\nREADY")
        assert terminal.tmux("display", "-p", "#{alternate_on} #{mouse_any_flag}").split() == ["0", "0"]
        terminal.type(f"{PROGRAM} e.yaml\n")
        terminal.wait("never saved. They go into")
        terminal.press("y")
        terminal.wait("# never saved")
    finally:
        terminal.close()


@needs_tmux
def test_ctrl_c_in_another_editor_is_not_for_the_screen(workbench: Workbench) -> None:
    workbench.write("e.yaml", "command: echo {a}\nparameters: {a: [1, 2]}\n")
    editor = workbench.write("slow.sh", "#!/bin/sh\necho editing\nwhile :; do sleep 0.1; done\n")
    editor.chmod(0o755)
    terminal = Terminal(workbench.folder)
    try:
        terminal.wait("READY")
        terminal.type(f"EDITOR={editor} {PROGRAM} e.yaml\n")
        terminal.wait("2 tasks to run")
        terminal.press("C-e")
        terminal.wait("editing")
        terminal.press("C-c")
        terminal.wait("slow.sh ended by signal 2")
        leave(terminal)
    finally:
        terminal.close()
