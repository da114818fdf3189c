"""Programs that misbehave, and people who meddle: what becomes of their tasks, and of everyone else's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_behaviour import outcome, relatives
from tests.workbench import Workbench, alive, until

PYTHON = "python3 -S -c"

EXPERIMENTS = {
    "writes": f"""
        command: |
          {PYTHON} "
          import os
          for number in range(1_000_000):
              os.write(1, b'.\\n')
          "
        """,
    "grandchildren": """
        command: |
          leaf='echo >>ready; exec sleep 1000'
          (sh -c "$leaf" & setsid sh -c "$leaf" & (LEAF=$leaf setsid sh -c 'sh -c "$LEAF" & sh -c "$LEAF" &' &) )
          nohup sh -c "$leaf" >kept.open 2>&1 &
          until [ "$(cat ready | wc -l)" = 5 ]; do sleep 0.02; done
        workdir: '{output}'
        """,
    "new_group": f"""
        command: |
          {PYTHON} "
          import os, signal, time
          signal.signal(signal.SIGTERM, signal.SIG_IGN)
          os.setpgid(0, 0)
          time.sleep(1000)
          "
        timeout: 0.5s
        grace: 0.2s
        """,
    "new_session": f"""
        command: |
          {PYTHON} "
          import os, signal, time
          signal.signal(signal.SIGTERM, signal.SIG_IGN)
          if os.fork() == 0:
              os.setsid()
              if os.fork():
                  os._exit(0)
          for number in range(3):
              os.close(number)
          time.sleep(1000)
          "
        timeout: 0.5s
        grace: 0.2s
        """,
    "kills_its_group": """
        command: 'kill -9 0'
        """,
    "kills_its_parent": """
        command: 'kill -9 $PPID; sleep 0.2; exit 8'
        """,
    "stops_itself": """
        command: 'kill -STOP $$; exit 0'
        timeout: 0.5s
        """,
    "removes_its_folder": """
        command: 'rm -r "$TUI_LAB_OUTPUT"; exit 4'
        """,
    "outputs_are_folders": """
        command: 'rm stdout; mkdir stdout; touch stdout/x; exit 5'
        workdir: '{output}'
        """,
    "many_files": """
        command: 'ulimit -n 64; for i in $(seq 500); do : >$i; done; exit 6'
        workdir: '{output}'
        """,
    "fine": """
        command: 'echo {task_id}'
        repeat: 20
        """,
}


@pytest.fixture(scope="module")
def ran(shared_workbench: Workbench) -> Workbench:
    """All of them after one run."""
    files = [shared_workbench.write(f"{name}.yaml", text) for name, text in EXPERIMENTS.items()]
    ended = shared_workbench("--run", *files, "--node", "localhost", 4, "--keep-going", timeout=150, code=1)
    assert "Traceback" not in ended.err + (shared_workbench.lab_path / "engine.log").read_text()
    return shared_workbench


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("writes", ("done", None, 0, None)),
        ("grandchildren", ("done", None, 0, None)),
        ("new_group", ("failed", "timeout", 137, None)),
        ("new_session", ("failed", "timeout", 137, None)),
        ("removes_its_folder", ("failed", "exit", 4, None)),
        ("outputs_are_folders", ("failed", "exit", 5, None)),
        ("many_files", ("failed", "exit", 6, None)),
    ],
)
def test_how_it_ended(ran: Workbench, name: str, expected: tuple[Any, ...]) -> None:
    assert outcome(ran.tasks(name)[0]) == expected


def test_a_million_small_writes_arrive(ran: Workbench) -> None:
    assert ran.output(0, "stdout", "writes") == ".\n" * 1_000_000


def test_what_a_task_leaves_behind_is_stopped_and_counted(ran: Workbench) -> None:
    (finished,) = ran.events("finished", "grandchildren")
    assert finished["leftover"] >= 5  # a shell may be just ending


def test_a_task_that_kills_what_is_around_it(ran: Workbench) -> None:
    assert outcome(ran.tasks("kills_its_group")[0]) == ("failed", "signal", 137, 9)
    assert outcome(ran.tasks("kills_its_parent")[0]) == ("failed", "exit", 8, None)
    assert outcome(ran.tasks("stops_itself")[0])[:2] == ("failed", "timeout")


def test_the_others_never_notice(ran: Workbench) -> None:
    assert {task["state"] for task in ran.tasks("fine")} == {"done"}
    assert len(ran.events("finished", "fine")) == 20


def test_nothing_of_them_is_left(ran: Workbench) -> None:
    until(lambda: ran.engine_pid() is None and not ran.spool.exists())
    until(lambda: not relatives(str(ran.folder).encode()))


# --- From outside


WAIT = "while ! test -e {gate}; do sleep 0.02; done"
GATED = f"""
command: 'echo $$ >>$TRUTH; {WAIT}; echo over'
parameters: {{gate: [go]}}
"""


def program_of(workbench: Workbench) -> int:
    """The pid of the program that began last."""
    return int(workbench.lines()[-1])


def test_a_program_that_someone_kills(workbench: Workbench) -> None:
    run = workbench.start("--run", workbench.write("e.yaml", GATED), "--node", "localhost", 1)
    until(workbench.lines)
    os.kill(program_of(workbench), signal.SIGKILL)
    assert run.wait(30) == 1
    assert outcome(workbench.tasks()[0]) == ("failed", "signal", 137, 9)


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["program", "group"])
def test_a_task_that_someone_stops_for_a_while(workbench: Workbench, whom: str) -> None:
    run = workbench.start("--run", workbench.write("e.yaml", GATED), "--node", "localhost", 1)
    until(workbench.lines)
    program = program_of(workbench)
    signaled = {"program": program, "group": -program}[whom]
    os.kill(signaled, signal.SIGSTOP)
    (workbench.folder / "go").touch()
    until(lambda: state_of(program) == "T")
    workbench("status")
    assert workbench.tasks()[0]["state"] == "running"
    os.kill(signaled, signal.SIGCONT)
    assert run.wait(30) == 0
    assert workbench.output(0) == "over\n"


def test_a_stopped_task_can_be_stopped_for_good(workbench: Workbench) -> None:
    run = workbench.start("--run", workbench.write("e.yaml", GATED), "--node", "localhost", 1)
    until(workbench.lines)
    program = program_of(workbench)
    os.kill(-program, signal.SIGSTOP)
    until(lambda: state_of(program) == "T")
    workbench("stop")
    assert run.wait(40) == 0
    assert outcome(workbench.tasks()[0])[:2] == ("stopped", "stopped")
    assert not alive(program)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()


# --- Much output


@pytest.mark.slow
def test_a_task_that_prints_much_costs_no_memory(workbench: Workbench, request: pytest.FixtureRequest) -> None:
    size = 10_000_000_000 if request.config.getoption("--long") else 200_000_000
    text = f"""
        command: |
          echo >>$TRUTH; while ! test -e go; do sleep 0.02; done
          yes 'loss: 0.5' | head -c {size} || :
          head -c 9000000 /dev/zero >&2
          echo >>$TRUTH; while ! test -e end; do sleep 0.02; done
        metrics: {{loss: {{pattern: 'loss: (@float@)', take: last}}}}
        """
    run = workbench.start("--run", workbench.write("e.yaml", text), "--node", "localhost", 2, "--json")
    until(lambda: len(workbench.lines()) == 1 and workbench.events("started"))
    engine, agent = workbench.engine_pid(), workbench.agent_pid()
    before = peak(engine), peak(agent)
    (workbench.folder / "go").touch()
    until(lambda: len(workbench.lines()) == 2, 600)
    after = peak(engine), peak(agent)
    (workbench.folder / "end").touch()
    out, _ = run.communicate(timeout=600)
    assert run.returncode == 0, out
    folder = workbench.experiment().task_folder(0)
    assert (folder / "stdout").stat().st_size == size
    assert (folder / "stderr").stat().st_size == 9_000_000
    (folder / "stdout").unlink()
    assert after[0] - before[0] < 16 << 20
    assert after[1] - before[1] < 8 << 20


def peak(pid: int | None) -> int:
    """Most memory that a process ever had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


# --- The disk


@pytest.fixture
def small(workbench: Workbench) -> Iterator[Path]:
    """A file system of a megabyte, for the outputs of e."""
    place = workbench.lab_path / "e/tasks"
    workbench.run_text("command: 'true'\n")
    until(lambda: workbench.engine_pid() is None)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield place
    workbench.close()
    subprocess.run(["umount", "-l", place], check=True)


def test_a_task_that_fills_its_disk_fails_and_the_others_go_on(workbench: Workbench, small: Path) -> None:
    e = workbench.write("experiment.yaml", "name: e\ncommand: 'echo begun; yes | head -c 3000000'\n")
    o = workbench.write("o.yaml", "command: 'echo {task_id}'\nrepeat: 10\n")
    workbench("--run", e, o, "--node", "localhost", 1, code=1)
    assert outcome(workbench.tasks()[1])[:2] == ("failed", "exit")
    assert {task["state"] for task in workbench.tasks("o")} == {"done"}
    workbench("--run", e, timeout=60, code=1)
    assert workbench.tasks()[1]["attempts"] == 2
