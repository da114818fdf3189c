"""What comes from outside can't touch the terminal; a pipe gets every byte."""

from __future__ import annotations

import ast
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workbench import REPOSITORY, Workbench
from tui_lab.results.terminal.guard import neutral

SOURCE = REPOSITORY / "tui_lab"
EVIL = "a\x1b]0;title\x07b\x1b[2Jc\x9b1md\u202ee\u2066f\x08"


def on_terminal(workbench: Workbench, *words: str) -> bytes:
    """What a terminal is sent by a command."""
    master, slave = pty.openpty()
    environment = {**workbench.environment, "COLUMNS": "150", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "tui_lab", *words]
    with subprocess.Popen(
        command, cwd=workbench.folder, env=environment, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        said = b""
        while True:
            try:
                block = os.read(master, 1 << 16)
            except OSError:
                break
            if not block:
                break
            said += block
        process.wait(60)
    os.close(master)
    return said


@given(st.text())
def test_neutral_text_is_printable_but_for_lines_and_tabs(text: str) -> None:
    shown = neutral(text)
    assert neutral(shown) == shown
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in "\u202e\u2066" for c in shown)
    if text.isprintable():
        assert shown == text


@pytest.fixture
def evil(workbench: Workbench) -> Workbench:
    value = "".join(c if 32 <= ord(c) < 127 else f"\\u{ord(c):04x}" for c in EVIL)
    workbench.write("prog.sh", """printf 'a %s\\n' "$1"; : >"$2/$1"\n""")
    workbench.write(
        "grid.yaml",
        "name: grid\ncommand: sh prog.sh {a} {output}\n"
        f'parameters: {{a: ["{value}"]}}\nmetrics: {{it: {{pattern: "a (.*)"}}}}\n',
    )
    workbench.run("grid.yaml")
    return workbench


@pytest.mark.slow
def test_nothing_from_outside_touches_the_terminal(evil: Workbench) -> None:
    sql = "SELECT a, a || 'x' AS b FROM grid"
    for words in (
        ["query", sql],
        ["query", sql, "--format", "csv"],
        ["query", "-m", f"note {EVIL}", sql],
        ["show", "0"],
        ["logs", "0"],
        ["--run", f"{EVIL}.yaml"],
        ["draw", "line", sql],
    ):
        said = on_terminal(evil, *words)
        for bad in (b"\x1b]0", b"\x1b[2J", b"\x07", "\x9b".encode(), "\u202e".encode(), "\u2066".encode(), b"\x08"):
            assert bad not in said, (words, said)
    assert evil.table(sql)[0]["a"] == EVIL


def test_nothing_goes_past_the_guard() -> None:
    """Everything is printed by `print`, or by a console and a stream of the guard's module."""
    guard = SOURCE / "results" / "terminal" / "guard.py"
    past = []
    for folder in ("api", "cli", "client", "results"):
        for path in sorted((SOURCE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = ast.unparse(node.func)
                    direct = name == "Console" or name.endswith(
                        (".buffer.write", "__stdout__.write", "__stderr__.write")
                    )
                    if (direct or name in ("os.write", "sys.stdout.write", "sys.stderr.write")) and path != guard:
                        past.append(f"{path.relative_to(SOURCE)}: {name}")
    # A notebook gets a text that a console has made. `logs` hands on the bytes of an output, to a pipe or where --raw
    # asks for them; --first is as if a person had started the task in this terminal. Answers are kept in a file.
    # A process of its own hands the pixels of a picture to a pipe.
    assert past == [
        "api/progress.py: Console",
        "cli/commands/logs.py: sys.stdout.buffer.write",
        "client/foreground.py: ours.buffer.write",
        "results/extraction/kept_answers.py: os.write",
        "results/pictures.py: sys.stdout.buffer.write",
        "results/pictures.py: sys.stdout.buffer.write",
    ]


@pytest.mark.slow
def test_a_full_disk_behind_the_streams(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "name: grid\ncommand: echo {a}\nparameters: {a: [1, 2]}\n")
    with open("/dev/full", "w") as full:
        workbench.run("grid.yaml", stderr=full, stdout=full)
        assert workbench.output(1, name="grid") == "2\n"
        said = workbench("status", stdout=full, code=3).err
        assert said == "tui-lab: No space left on device\n"
