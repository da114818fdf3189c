"""From `tui-lab` to the first usable screen, against an app of Textual that says hello: in a real terminal.

    python benchmarks/screen_start.py [--runs 15] [--check]

Runs alternate, and the ratio is taken within each round, so that a noisy machine hurts both alike; medians are printed.
The screen counts as usable when its keys stand on it: from then on it answers.

--check: ends with 1 where the screen takes longer than RATIO times as long in each of three tries.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping
from pathlib import Path

PATIENCE = 30.0  # seconds
RATIO = 1.5
TRIES = 3
HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("hello world")
Hello().run()
"""
EXPERIMENT = "name: noop\ncommand: 'true'\nrepeat: 1000\n"


def first_screen(command: list[str], text: bytes, folder: Path, environment: Mapping[str, str]) -> float:
    """Seconds until a text stands on the screen of a program in a terminal of its own."""
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe(command[0], command, dict(environment))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    try:
        while text not in seen:
            ready, _, _ = select.select([terminal], [], [], PATIENCE)
            if not ready:
                raise SystemExit(f"{command}: nothing for {PATIENCE} s")
            seen += os.read(terminal, 1 << 16)
        return time.perf_counter() - began
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def ratios(runs: int) -> dict[str, float]:
    """How many times as long as the app that says hello each case takes; prints it, too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hello.py").write_text(HELLO)
        (folder / "noop.yaml").write_text(EXPERIMENT)
        (folder / "empty").mkdir()
        tool = [sys.executable, "-m", "tui_lab"]
        environment = {**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": name, "XDG_CONFIG_HOME": name}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else what was never run before is compiled at each start
        subprocess.run([*tool, "--run", "noop.yaml"], cwd=folder, env=environment, check=True, capture_output=True)
        cases = {
            "hello world": ([sys.executable, "hello.py"], b"hello world", folder),
            "lab of 1000 tasks": (tool, b"Commands", folder),
            "empty folder": (tool, b"Paste a command", folder / "empty"),
        }
        took: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(runs + 1):
            for case, (command, text, place) in cases.items():
                took[case].append(first_screen(command, text, place, environment))
        found = {}
        for case, times in took.items():
            times = times[1:]  # the first one warms the disk
            found[case] = statistics.median(
                one / hello for one, hello in zip(times, took["hello world"][1:], strict=True)
            )
            print(f"{case:<18} {statistics.median(times) * 1000:5.0f} ms   {found[case]:.2f} x hello world")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    for _ in range(TRIES if args.check else 1):
        slow = [f"{case}: {ratio:.2f}, limit {RATIO:g}" for case, ratio in ratios(args.runs).items() if ratio > RATIO]
        if not slow:
            return
    if args.check:
        raise SystemExit("\n".join(slow))


if __name__ == "__main__":
    main()
