"""Make the pictures of this folder from the real program: `python screenshots/make.py` (needs tmux).

Each command runs in a terminal of tmux; what stands on its screen then, colours included, becomes an SVG.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
SIZE = (100, 24)
LARGE = (160, 44)
PATIENCE = 300.0  # seconds


class Terminal:
    """A terminal of a tmux server of our own, in an empty folder with a copy of an example."""

    def __init__(self, folder: Path, example: str, size: tuple[int, int]) -> None:
        demo = folder / example
        shutil.copytree(EXAMPLES / example, demo, ignore=shutil.ignore_patterns("lab"))
        self.socket, self.width = str(folder / "tmux"), size[0]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        words = ("-x", str(size[0]), "-y", str(size[1]))
        own = (f"XDG_STATE_HOME={demo}", f"XDG_CONFIG_HOME={demo}")
        shell = ("env", f"PATH={path}", "PS1=$ ", "COLORTERM=truecolor", *own, "bash", "--norc")
        self.tmux("new-session", "-d", *words, "-c", str(demo), *shell)

    def tmux(self, *words: str) -> str:
        return subprocess.run(["tmux", "-S", self.socket, *words], check=True, capture_output=True, text=True).stdout

    def type(self, line: str) -> None:
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)
            time.sleep(0.5)  # as typed

    def screen(self, *options: str) -> str:
        return self.tmux("capture-pane", "-p", *options)

    def wait(self, ready: Callable[[str], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready(self.screen()):
            if time.monotonic() > deadline:
                raise SystemExit(f"waited too long; the screen is:\n{self.screen()}")
            time.sleep(0.1)

    def save(self, name: str, title: str) -> None:
        lines = self.screen("-e", "-N").rstrip("\n").split("\n")
        while lines and not Text.from_ansi(lines[-1]).plain.strip(" $"):
            lines.pop()
        console = Console(record=True, width=self.width, file=io.StringIO(), force_terminal=True)
        console.print(Text.from_ansi("\n".join(lines)), no_wrap=True)
        console.save_svg(str(HERE / f"{name}.svg"), title=title, unique_id=f"tui-lab-{name}")

    def run(self, line: str) -> None:
        """Clear the screen, run a line, wait for the prompt."""
        self.type("clear")
        self.wait(lambda text: not text.strip("$ \n"))
        self.type(line)
        self.wait(lambda text: text.rstrip("\n").endswith("\n$") and shlex.split(line)[0] in text)

    def close(self) -> None:
        self.tmux("kill-server")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tui-lab-screenshots-") as name:
        terminal = Terminal(Path(name), "basic_usage", SIZE)
        try:
            terminal.type("clear; tui-lab --run experiment.yaml")
            terminal.wait(lambda text: " left" in text and "1,0" in text)
            terminal.save("running", "tui-lab --run experiment.yaml")
            terminal.wait(lambda text: "next:" in text and text.rstrip("\n").endswith("\n$"))
            terminal.save("summary", "tui-lab --run experiment.yaml")
            terminal.run(
                "tui-lab query 'SELECT activation, preprocessing, round(avg(test_acc), 3) AS acc, count(*) AS n\n"
                "FROM grid GROUP BY ALL ORDER BY acc DESC LIMIT 6'"
            )
            terminal.save("query", "tui-lab query")
            terminal.run("tui-lab show 17")
            terminal.save("show", "tui-lab show 17")
        finally:
            terminal.close()
    with tempfile.TemporaryDirectory(prefix="tui-lab-screenshots-") as name:
        terminal = Terminal(Path(name), "live_curves", LARGE)
        try:
            live(terminal)
        finally:
            terminal.close()


def live(terminal: Terminal) -> None:
    """The panes on a run that goes on, and once it has ended."""
    terminal.type("clear; tui-lab --run experiment.yaml --node localhost 3 --detach && tui-lab")
    terminal.wait(lambda text: re.search(r" n [23] ", text) and "exit 1  Floating" in text and "━━━ 3/3" in text)
    terminal.save("screen-now", "tui-lab: a run at a glance")
    terminal.press("3")
    terminal.wait(lambda text: all("▶" in line and "%" in line for line in text.split("\n")[6:9]))
    terminal.wait(lambda text: "epoch 10/60" in text and "step" in text)  # its log and its curves
    terminal.save("screen-live", "tui-lab: what runs, its log and its curves")
    terminal.press("F")
    terminal.wait(lambda text: "with lr" in text)
    terminal.save("screen-failures", "tui-lab: why it failed")
    terminal.press("Escape", "6", "g")
    terminal.wait(lambda text: "accuracy" in text and "load of nodes" in text and "┤" in text)
    time.sleep(2)  # until each of the charts is there
    terminal.save("screen-grid", "tui-lab: all live metrics, and what the nodes do")
    terminal.press("g")
    terminal.wait(lambda text: "Values" in text and "step" in text)
    terminal.save("screen-chart", "tui-lab: one chart, and its values")
    terminal.press("1")
    terminal.wait(lambda text: "Plan" in text and "about" in text and "accuracy" in text)
    terminal.save("screen-experiment", "tui-lab: the file, its plan, and what tasks have printed")
    terminal.press("4")
    terminal.wait(lambda text: "100%  24/24" in text or " 100% " in text.split("\n")[1])
    terminal.wait(lambda text: "★ best" in text and "(log)" in text and "running" not in text)
    terminal.wait(lambda text: "has ended" not in text)  # the message
    terminal.save("screen-forest", "tui-lab: which is best, and how sure that is")
    terminal.press("g", "Space", "j", "Space", "c")
    terminal.wait(lambda text: "Differences" in text and "by step" in text and text.count("test accuracy:") == 2)
    terminal.save("screen-compare", "tui-lab: two settings side by side")
    terminal.press("Escape")
    terminal.wait(lambda text: "4 Results" in text)
    terminal.press("q")
    terminal.wait(lambda text: text.rstrip("\n").endswith("$"))  # it keeps its state in the folder that goes now


if __name__ == "__main__":
    main()
