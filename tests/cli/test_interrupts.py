"""Ctrl-C ends a command wherever it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.workbench import REPOSITORY, Workbench, until
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


@pytest.mark.slow
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


COMMANDS = [
    ("plan", "small.yaml"),
    ("check", "small.yaml"),
    ("status",),
    ("logs", "small/0"),
    ("show", "small/0"),
    ("parse", "small"),
    ("query", "SELECT * FROM small"),
    ("stats", "small"),
    ("draw", "lines", "-o", "x.png"),
    ("export",),
    ("retry", "small"),
]
# Modules behind whose import it comes: the first of this program, one that a library imports while it is imported (it
# may not hear of it), and the heavy ones.
STAGES = ["tui_lab.cli", "tui_lab.cli.main", "_uuid", "zoneinfo", "numpy.exceptions", "polars.datatypes", "polars"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(
        "name: small\ncommand: echo v={a}\nparameters: {a: [1, 2]}\nmetrics: {v: 'v=(@int@)'}\n"
    )
    argv = [sys.executable, "-m", "tui_lab", "--run", "small.yaml"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_it_ends_every_command_at_every_stage(small: Path, words: tuple[str, ...]) -> None:
    interrupted = 0
    for stage in STAGES:
        argv = [sys.executable, "-X", "importtime", "-m", "tui_lab", *words]
        with subprocess.Popen(argv, cwd=small, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            told = []
            for line in process.stderr:
                told.append(line)
                if line.rpartition("|")[2].strip() == stage:
                    process.send_signal(signal.SIGINT)
                    break
            told += process.stderr
            status = process.wait(30)
        said = "".join(line for line in told if not line.startswith("import time:"))
        assert said == "", f"{stage}: {said}"
        assert status in (0, 130), stage
        interrupted += status == 130
    assert interrupted >= 4


def test_an_import_in_its_midst_hears_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "swallows.py").write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(0.1)\n    print('unharmed')\n"
        "except BaseException:\n    print('taken for an error')\n"
    )
    code = (
        "import signal, time; from tui_lab.cli.interrupts import interrupt; signal.signal(signal.SIGINT, interrupt)\n"
        "try:\n    import swallows\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('heard')\n"
    )
    argv = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    said = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False, env=environment)
    assert (said.stdout, said.stderr) == ("unharmed\nheard\n", "")


def test_it_ends_an_import_that_takes_long(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("print('begins', flush=True)\nwhile True:\n    pass\n")
    code = (
        "import signal; from tui_lab.cli.interrupts import interrupt; signal.signal(signal.SIGINT, interrupt)\n"
        "import endless\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "begins\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == ""


def test_where_it_is_ignored_it_stays_so(small: Path) -> None:
    argv = ["sh", "-c", 'trap "" INT; exec "$@"', "-", sys.executable, "-X", "importtime", "-m", "tui_lab", "status"]
    with subprocess.Popen(argv, cwd=small, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stderr:
            if line.endswith("tui_lab.cli.main\n"):
                process.send_signal(signal.SIGINT)
        assert "small" in process.stdout.read()
        assert process.wait(30) == 0


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


@pytest.mark.slow
def test_ctrl_c_waits_for_no_command_of_a_metric(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "name: grid\ncommand: echo {a}\nparameters: {a: [1, 2, 3, 4]}\n")
    assert workbench("--run", "grid.yaml").code == 0
    metric = f"metrics: {{slow: {{run: 'touch {workbench.folder}/began; sleep 50', pattern: '(@int@)'}}}}\n"
    workbench.write("grid.yaml", "name: grid\ncommand: echo {a}\nparameters: {a: [1, 2, 3, 4]}\n" + metric)
    began = workbench.folder / "began"
    process = workbench.start("parse")
    try:
        until(lambda: process.poll() is not None or began.exists(), 60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")


@pytest.mark.slow
def test_a_second_sigterm_at_once_is_the_same_one(workbench: Workbench) -> None:
    """`timeout` sends it to its child, and at once to its group: what runs is stopped all the same."""
    workbench.write("long.yaml", "name: long\ncommand: sleep 600\nparameters: {a: [1, 2, 3]}\n")
    process = workbench.start("--run", "long.yaml", "--node", "localhost", "2")
    until(lambda: '"running":2' in workbench("status", "--json", code=None).out, 60)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopping the running tasks" in err and "Left." not in err, err
    counts = workbench("status", "--json").json()["experiments"][0]["counts"]
    assert (counts["running"], counts["pending"]) == (0, 3)
