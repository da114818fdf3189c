"""`--first` goes the way of every task: it shows what a run would do."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.workbench import Workbench, alive, until


def test_steps_variables_and_files(workbench: Workbench) -> None:
    text = """\
command:
  train: 'echo "$TUI_LAB_NODE $TUI_LAB_SLOT $FROM_SETUP"; echo made >{output}/made.txt'
  test: 'cat {output}/made.txt; ps -o sid= $$ >&2; exit 3'
parameters: {x: [1, 2]}
setup: echo words; export FROM_SETUP=yes
env: {X: '{x}'}
ok_exit_codes: [0, 3]
"""
    run = workbench("--run", workbench.write("e.yaml", text), "--first")
    assert run.out == "localhost 0 yes\nmade\n"
    lines = run.err.splitlines()
    assert [line for line in lines if line.startswith("$ ")][1].startswith("$ cat ")
    assert lines[-2].endswith("; it wrote made.txt")
    assert not workbench.lab_path.exists() or not list(workbench.lab_path.glob("e/journal.jsonl"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command: sleep 1000\ntimeout: 0.5s\n", "✗ timeout after"),
        ("command: echo hi\nneeds: {gpus: 1}\n", "✗ it did not start: needs gpus: 1, the node offers 0"),
        ("command: 'kill -9 $$; true'\n", "✗ signal 9 after"),
        ("command: echo hi\nsetup: echo why; false\n", "setup exited with 1: why"),
        ("command: sleep 1000\nsetup: sleep 1000\nsetup_timeout: 0.5s\n", "setup took longer than 0.5 s"),
        ("command: 'exit 4'\n", "✗ exit 4 after"),
    ],
)
def test_what_a_run_would_say(workbench: Workbench, text: str, said: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}
    run = workbench("--run", workbench.write("e.yaml", text), "--first", env=env, code=None)
    assert (run.code, run.out) == (1, "")
    assert said in run.err


def test_what_it_leaves_out_is_told(workbench: Workbench) -> None:
    """One task of one file, and here."""
    files = [workbench.write(name, "command: echo hi\n") for name in ("e.yaml", "f.yaml")]
    run = workbench("--run", *files, "--first", "--node", "tower", "--node", "localhost", "2", code=None)
    assert (run.code, run.out) == (0, "hi\n")
    assert "note: --first tries the task on this machine, not on tower\n" in run.err
    assert f"note: --first tries one task, of {files[0]}\n" in run.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_by_signal_leaves_nothing(workbench: Workbench, number: int) -> None:
    pids = workbench.folder / "pids"
    text = "command: 'sleep 1000 & echo $! $$ >pids; wait'\n"
    run = workbench.start("--run", workbench.write("e.yaml", text), "--first")
    until(lambda: pids.exists() and pids.read_text())
    run.send_signal(number)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert all(not alive(int(pid)) for pid in pids.read_text().split())
    assert not [path for path in Path("/proc").glob("[0-9]*") if here(path, workbench.folder)]


def here(process: Path, folder: Path) -> bool:
    """Whether a process works in a folder."""
    try:
        return (process / "cwd").resolve() == folder
    except OSError:
        return False
