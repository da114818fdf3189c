"""Ctrl-C ends a command while it is busy, and nothing that is too large begins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.cli.bench import Bench
from tests.conftest import until
from tui_lab.cli.interrupts import keep_interruptible

SLOW = """
name: slow
command: echo {a}
parameters: {a: {range: [0, 9000000]}}
where: "md5(repeat('x', 100000 + a % 7)) > 'a'"
"""


def busy(process: subprocess.Popen[str]) -> bool:
    """Whether a process has come further than its imports."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > 3


def test_ctrl_c_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_lab", "plan", "slow.yaml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: process.poll() is not None or busy(process), 60)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "")


def test_a_call_that_waits_is_interrupted_after_polars_was_imported() -> None:
    code = (
        "import os, sys; from tui_lab.cli.interrupts import keep_interruptible; keep_interruptible(); import polars\n"
        "try:\n    print('waits', flush=True)\n    os.read(0, 1)\n"
        "except KeyboardInterrupt:\n    print('heard', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        for _ in range(10):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):  # it did not wait yet, and does now
                process.wait(2)
                break
        process.kill()
        assert "heard" in process.stdout.read()


def test_it_does_nothing_to_other_imports() -> None:
    before = list(sys.meta_path)
    keep_interruptible()
    import tui_lab.results.tables  # noqa: F401

    assert sys.meta_path == before, "polars is here: nothing waits for it"


def test_ctrl_c_waits_for_no_command_of_a_metric(bench: Bench) -> None:
    bench.write("grid.yaml", "name: grid\ncommand: echo {a}\nparameters: {a: [1, 2, 3, 4]}\n")
    assert bench("--run", "grid.yaml").code == 0
    metric = f"metrics: {{slow: {{run: 'touch {bench.folder}/began; sleep 50', pattern: '(@int@)'}}}}\n"
    bench.write("grid.yaml", "name: grid\ncommand: echo {a}\nparameters: {a: [1, 2, 3, 4]}\n" + metric)
    began = bench.folder / "began"
    process = bench.start("parse")
    try:
        until(lambda: process.poll() is not None or began.exists(), 60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
