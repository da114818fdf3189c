"""Programs that the agent asks something, without waiting for them."""

import os
import signal

from tui_lab.portable.login import without_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT = 15.0  # seconds that a program has for its answer


class ProbeRunner:
    """Runs programs with short answers. They are children of the agent, which calls `ended` for each."""

    def __init__(self, timers) -> None:
        self.timers = timers
        self.running: Any = {}  # pid -> (descriptor of its output, what to do callback, timer)
        self.timed_out: Any = set()

    def run(self, argv: list, callback) -> None:
        """`callback(text)` when it has ended; `callback(None)` where it failed, or did not answer."""
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
        output, callback, _ = self.running.pop(pid)
        os.close(output)
        self.timed_out.add(pid)
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
        callback(None)

    def owns(self, pid: int) -> bool:
        return pid in self.running or pid in self.timed_out


def find_program(name: str, *further: str):
    """Where a program is, or None. Some folders are searched that PATH may lack, and further ones."""
    for folder in os.environ.get("PATH", os.defpath).split(":") + ["/usr/bin", "/usr/local/bin"] + list(further):
        path = os.path.join(folder, name)
        if folder and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None
