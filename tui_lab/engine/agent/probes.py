"""Short programs, such as `nvidia-smi`, that the agent runs for their output while its loop goes on."""

import os
import signal

from tui_lab.portable.login import without_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT = 15.0  # seconds


class ProbeRunner:
    """Runs programs with short output. They are children of the agent, which calls `reap` when one has ended."""

    def __init__(self, timers) -> None:
        self.timers = timers
        self.running: Any = {}  # pid -> (descriptor of its output, what to do callback, timer)
        self.timed_out: Any = set()

    def run(self, argv: list, callback) -> None:
        """Start a program.

        `callback(text)` is called when it has ended, `callback(None)` where it failed or took too long."""
        import subprocess

        try:
            process = subprocess.Popen(
                argv,
                env=without_login(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            self.timers.after(0, callback, None)
            return
        assert process.stdout is not None
        output = os.dup(process.stdout.fileno())
        process.stdout.close()
        process.returncode = 0  # reaped by the agent's loop, not by Popen
        timer = self.timers.after(TIMEOUT, self.time_out, process.pid)
        self.running[process.pid] = (output, callback, timer)

    def reap(self, pid: int, code: int) -> None:
        """Handle the end of a program."""
        if pid in self.timed_out:
            self.timed_out.discard(pid)
            return
        output, callback, timer = self.running.pop(pid)
        self.timers.cancel([timer])
        os.set_blocking(output, False)
        try:
            data = os.read(output, 1 << 20)
        except OSError:
            data = b""
        os.close(output)
        callback(data.decode("utf-8", "replace") if code == 0 else None)

    def time_out(self, pid: int) -> None:
        """Kill a program that takes too long."""
        output, callback, _ = self.running.pop(pid)
        os.close(output)
        self.timed_out.add(pid)
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
        callback(None)

    def owns(self, pid: int) -> bool:
        """Return whether a pid belongs to a program that was started here."""
        return pid in self.running or pid in self.timed_out


def find_program(name: str, *further: str):
    """Return the path of a program, None where there is none.

    Besides PATH, /usr/bin, /usr/local/bin and `further` folders are searched."""
    for folder in os.environ.get("PATH", os.defpath).split(":") + ["/usr/bin", "/usr/local/bin"] + list(further):
        path = os.path.join(folder, name)
        if folder and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None
