"""What the system does not give is said in one line before anything begins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

# Root is not bound by the limit of processes. A user who has no other process is.
LIMITED = """
import os, resource, sys
from tui_lab.cli.main import main
name, limit, *words = sys.argv[1:]
resource.setrlimit(getattr(resource, name), (int(limit), int(limit)))
if name == "RLIMIT_NPROC" and os.geteuid() == 0:
    os.setuid(2_000_000_011)
sys.exit(main(words))
"""


def limited(folder: Path, name: str, limit: int, *words: str) -> tuple[int, str, str]:
    (folder / "a.yaml").write_text("name: a\ncommand: echo {x}\nparameters: {x: [1, 2]}\n")
    argv = [sys.executable, "-c", LIMITED, name, str(limit), *words]
    said = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return said.returncode, said.stdout, said.stderr


@pytest.mark.parametrize("words", [("plan", "a.yaml"), ("--run", "a.yaml"), ("stats",)])
@pytest.mark.parametrize(
    ("name", "limit", "text"),
    [
        ("RLIMIT_NPROC", 1, r"needs \d+ threads, and only 0 can be started; the limit is 1 .*\(ulimit -u\)"),
        ("RLIMIT_NPROC", 5, r"needs \d+ threads, and only \d can be started; the limit is 5 .*\(ulimit -u\)"),
        ("RLIMIT_AS", 200_000 << 10, r"needs \d+ MiB of address space; the limit is 195 MiB \(ulimit -v\)"),
        ("RLIMIT_AS", 600_000 << 10, r"needs \d+ MiB of address space; the limit is 585 MiB \(ulimit -v\)"),
        ("RLIMIT_NOFILE", 8, r"needs \d+ open files; the limit is 8 \(ulimit -n\)"),
    ],
)
def test_it_is_said_in_one_line(tmp_path: Path, name: str, limit: int, text: str, words: tuple[str, ...]) -> None:
    status, out, err = limited(tmp_path, name, limit, *words)
    assert (status, out) == (3, "")
    assert re.fullmatch(f"tui-lab: {text}\n", err), err


def test_an_engine_that_can_not_begin_says_so(tmp_path: Path) -> None:
    said = subprocess.run(
        [
            "bash",
            "-c",
            'ulimit -v 200000; exec "$@"',
            "-",
            sys.executable,
            "-m",
            "tui_lab.client.engine",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stderr) == (3, "")
    assert re.fullmatch(r"the engine needs \d+ MiB of address space; .*\(ulimit -v\)\n", said.stdout)


def test_what_is_enough_is_enough(tmp_path: Path) -> None:
    status, out, err = limited(tmp_path, "RLIMIT_AS", 4 << 30, "--run", "a.yaml")
    assert status == 0, out + err
