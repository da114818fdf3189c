"""The real program in a real terminal (tmux), as a person uses it: from an empty folder to a chart, and back again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workbench import Workbench, until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

PROGRAM = f'"{sys.executable}" -m tui_lab'
SHELL = ("env", "PS1=READY ", "bash", "--norc", "--noprofile")
FIT = """
until [ -e go ]; do sleep 0.05; done
echo "score: $2.5"
"""


class Terminal:
    """A terminal of a tmux server of its own, with a shell in a folder."""

    def __init__(self, folder: Path, width: int = 80, height: int = 24) -> None:
        self.socket = folder / "tmux"
        self.keys = 0
        """How many were pressed; pasted text does not count."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("TMUX", "NO_COLOR", "TUI_LAB"))
        }
        self.environment = {**kept, "LANG": "C.UTF-8"}
        size = ("-x", str(width), "-y", str(height))
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), *SHELL)

    def tmux(self, *words: str) -> str:
        command = ["tmux", "-u", "-S", str(self.socket), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self.environment).stdout

    def press(self, *keys: str) -> None:
        self.keys += len(keys)
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def wait(self, condition: str | Callable[[str], object], seconds: float = 20.0) -> str:
        """Until a text is on the screen; the screen."""
        holds = condition if callable(condition) else lambda screen: condition in screen
        deadline = time.monotonic() + seconds
        while not holds(screen := self.screen):
            assert time.monotonic() < deadline, f"not within {seconds} s: {condition}\n{screen}"
            time.sleep(0.05)
        return screen

    def close(self) -> None:
        subprocess.run(["tmux", "-S", str(self.socket), "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(workbench: Workbench) -> Iterator[Terminal]:
    it = Terminal(workbench.folder)
    try:
        yield it
    finally:
        it.close()


def leave(terminal: Terminal) -> None:
    terminal.press("q")
    terminal.wait(lambda screen: screen.rstrip().endswith("READY"))


@pytest.mark.slow
def test_from_an_empty_folder_to_a_chart_and_back(workbench: Workbench, terminal: Terminal) -> None:
    workbench.write("fit.sh", FIT)
    terminal.wait("READY")
    terminal.type(PROGRAM)
    terminal.press("Enter")
    terminal.wait("Paste a command")
    terminal.press("c")
    terminal.wait("The experiment that it becomes")
    terminal.type("sh fit.sh --x 3")
    terminal.wait("sh fit.sh --x {x}")
    terminal.press("Enter")
    terminal.wait("1 task to run")  # the plan beside the text
    assert (workbench.folder / "experiment.yaml").exists()

    # More values: written by another editor, and read again.
    file = workbench.folder / "experiment.yaml"
    file.write_text(file.read_text().replace("x: [3]", "x: [3, 4, 5]"))
    terminal.wait("3 tasks to run")

    terminal.press("C-r")
    terminal.wait("Run 3 tasks of fit")
    terminal.press("Enter")
    terminal.press("M-3")  # from a text field
    terminal.wait("▶ running")
    terminal.wait("going")

    # Leaving stops nothing, and coming back shows it.
    leave(terminal)
    pid = until(workbench.engine_pid)
    terminal.type(PROGRAM)
    terminal.press("Enter")
    terminal.wait("Best so far")  # the dashboard, while something runs
    terminal.press("3")
    terminal.wait("▶ running")
    assert workbench.engine_pid() == pid
    (workbench.folder / "go").touch()
    terminal.wait("History")
    terminal.wait(lambda screen: screen.count("✓ done") >= 3)

    # What the tasks print becomes a metric, in 11 keys since the first one and no pattern among them.
    terminal.press("1")
    terminal.wait("nothing to run")
    terminal.press("m", "Enter")  # in one go: the list comes later
    terminal.wait("Which values of score are better?")
    terminal.press("Enter")
    terminal.wait("score is a metric now")
    terminal.press("C-r")
    terminal.wait("Run")
    terminal.press("Enter")
    until(lambda: "  score: {pattern: '\\bscore: *(@float@)', goal: max}\n" in file.read_text())
    terminal.press("M-3")  # at once; the launch that ends later must not lead back
    terminal.wait(lambda screen: all(value in screen for value in ("score", "3.5", "4.5", "5.5")))

    # SQL, then a chart of its answer.
    terminal.press("5")
    terminal.wait(lambda screen: "SELECT" in screen and "q Leave" not in screen)  # what is typed is text now
    terminal.press("C-a", "C-k")
    terminal.wait(lambda screen: "SELECT" not in screen)
    terminal.type("SELECT x, score FROM results ORDER BY score DESC")
    terminal.wait("score DESC")
    terminal.press("F5")
    terminal.wait(lambda screen: "5.5" in screen and "3.5" in screen)
    terminal.press("M-p")
    terminal.wait(lambda screen: "lines" in screen and "●" in screen)
    terminal.press("M-4")
    terminal.wait("best")
    terminal.press("M-7")
    terminal.wait("✓ 3")
    leave(terminal)


@pytest.mark.slow
def test_from_a_pasted_command_to_the_results_of_a_sweep_in_eleven_keys(
    workbench: Workbench, terminal: Terminal, request: pytest.FixtureRequest
) -> None:
    workbench.write("fit.sh", FIT)
    (workbench.folder / "go").touch()
    terminal.wait("READY")
    terminal.type(PROGRAM)
    terminal.press("Enter")
    terminal.wait("Paste a command")
    terminal.keys, began = 0, time.monotonic()
    terminal.press("c")
    terminal.wait("The experiment that it becomes")
    terminal.type("sh fit.sh --x 3")
    terminal.wait("sh fit.sh --x {x}")
    terminal.press("Enter")
    terminal.wait("w makes a sweep of it: x: [3, 6, 12]")
    terminal.press("w")
    terminal.wait("3 tasks to run")
    terminal.press("C-r")
    terminal.wait("Run 3 tasks of fit")
    terminal.press("Enter")
    terminal.wait(lambda screen: screen.count("✓ done") >= 3)
    terminal.press("1")
    terminal.wait("nothing to run")
    terminal.press("m", "Enter")
    terminal.wait("Which values of score are better?")
    terminal.press("Enter")
    terminal.wait("score is a metric now")
    terminal.press("C-s")
    terminal.wait("were read again: score in 3")
    terminal.press("4")
    terminal.wait(lambda screen: "Results" in screen and all(value in screen for value in ("3.5", "6.5", "12.5")))
    assert terminal.keys <= 11
    if request.config.getoption("--long"):
        assert time.monotonic() - began < 60
    leave(terminal)


FAILING = """
name: grid
command: |
  echo "score: {x}.{repeat}"
  [ {x} -lt 3 ] || { echo "no room" >&2; exit 3; }
parameters: {x: [1, 2, 3]}
repeat: 3
metrics: {score: {pattern: 'score: (@float@)', goal: max}}
"""


def test_what_is_asked_most_is_a_few_keys_away_and_copied_into_the_terminal_s_buffer(
    workbench: Workbench, terminal: Terminal
) -> None:
    workbench("--run", workbench.write("grid.yaml", FAILING), "--keep-going", "--node", "localhost", 2, code=1)
    terminal.wait("READY")
    terminal.type(f"{PROGRAM} lab")
    terminal.press("Enter")
    terminal.wait("History")

    terminal.press("3", "F")  # why did it fail?
    screen = terminal.wait("all 3 with x = 3; none of 6 elsewhere")
    assert "no room" in screen and "What they share" in screen
    terminal.press("y")
    terminal.wait("copied the condition")
    assert terminal.tmux("show-buffer") == "x = 3"
    terminal.press("7")
    terminal.wait("came to")
    terminal.press("y")
    terminal.wait("copied the command")
    assert "tui-lab --run" in terminal.tmux("show-buffer")

    terminal.press("4")
    terminal.wait("best")
    terminal.press("space", "j", "space", "c")  # what is different in two settings?
    terminal.wait(lambda screen: "worse" in screen and screen.count("score: ") == 2)
    assert "difference from A" in terminal.wait("Linked: same line")
    terminal.press("Escape")
    terminal.wait("best")

    file = workbench.write("long.yaml", "name: long\ncommand: sleep 600\nparameters: {x: [1, 2]}\n")
    workbench("--run", file, "--detach", "--node", "localhost", 1)
    terminal.wait("● going")
    terminal.press("X", "a")  # stop everything
    until(lambda: workbench.experiment("long").state().counts_by_name()["stopped"] == 2)
    leave(terminal)


@pytest.mark.slow
def test_a_window_that_changes_its_size(workbench: Workbench, terminal: Terminal) -> None:
    workbench.run_text("command: echo {x}\nparameters: {x: [1, 2]}\n", code=None)
    terminal.wait("READY")
    terminal.type(PROGRAM)
    terminal.press("Enter")
    terminal.wait("History")
    terminal.press("3")
    terminal.wait("✓ done")
    for width, height in ((300, 100), (120, 40), (80, 24)):
        terminal.tmux("resize-window", "-x", str(width), "-y", str(height))
        for key in "1234567":
            terminal.press(f"M-{key}")
        terminal.press("M-3")
        terminal.wait("Tasks")
    terminal.wait("✓ done")
    leave(terminal)


def test_a_bad_configuration_is_one_line(workbench: Workbench, terminal: Terminal) -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "tui-lab"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('them = "nord"\n')
    terminal.wait("READY")
    terminal.type(f"{PROGRAM}; echo status=$?")
    terminal.press("Enter")
    screen = terminal.wait("status=2")
    assert 'config.toml: them: there is no such key; did you mean "theme"?' in screen.replace("\n", "")
