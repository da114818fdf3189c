"""A terminal that goes away without a word: the screen ends, and the run goes on."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys

from tests.conftest import Workshop, alive, until


def test_the_screen_ends_with_its_terminal_and_the_run_goes_on(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", f"command: until [ -e {workshop.folder}/go ]; do sleep 0.05; done\n")
    assert workshop.call("--run", file, "--detach").returncode == 0
    engine = until(workshop.engine_pid)
    # A terminal that is not the one of a session: no signal tells that it is gone.
    terminal, slave = pty.openpty()
    screen = subprocess.Popen(
        [sys.executable, "-m", "tui_lab", str(workshop.lab_path)],
        cwd=workshop.folder, env=workshop.environment(TERM="xterm-256color"), stdin=slave, stdout=slave, stderr=slave,
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
        (workshop.folder / "go").touch()
        until(lambda: workshop.experiment().state().counts_by_name()["done"] == 1)
    finally:
        screen.kill()
        screen.wait()
