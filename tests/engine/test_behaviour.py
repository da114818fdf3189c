"""What tasks meet, and what becomes of them: one run of many small experiments, looked at from many sides."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.workbench import Workbench, alive, until

EXPERIMENTS = {
    "stepwise": """
        command:
          first: 'echo 1 $TUI_LAB_OUTPUT'
          second: 'echo 2 >&2'
          third: 'exit {x}'
          fourth: 'echo never'
        parameters: {x: [0, 4]}
        """,
    "unnamed": """
        command: ['echo one', 'echo two', 'false', 'echo three']
        """,
    "retries": """
        command: |
          echo attempt {attempt} of $TUI_LAB_ATTEMPT
          echo {attempt} >>"$TRUTH.retries"
          test {attempt} -ge 3
        retries: 2
        """,
    "retries_used_up": """
        command: 'exit {x}'
        parameters: {x: [1]}
        retries: 1
        """,
    "no_retry": """
        command: 'kill -9 $$'
        retries: 5
        retry_on: [exit]
        """,
    "timeouts": """
        command: "trap '' TERM; sleep 60 & wait; sleep 60"
        timeout: 0.3s
        grace: 0.2s
        """,
    "ok_exit_codes": """
        command: exit {x}
        parameters: {x: [0, 10, 20, 30, 255]}
        ok_exit_codes: [10, 20]
        """,
    "signals": """
        command: 'python3 -S -c "import os,sys; os.kill(os.getpid(), int(sys.argv[1]))" {x}; exit 0'
        parameters: {x: [1, 2, 3, 6, 8, 9, 11, 14, 15, 31, 34, 40, 64]}
        """,
    "closed": """
        command: 'exec >&- 2>&- <&-; sleep 0.1; exit 3'
        """,
    "files": """
        command: |
          cat input.nml {params}
          echo; pwd
          echo $TUI_LAB_SLOT {slot} {node} {attempt} {task_id} {repeat} {experiment}
        workdir: '{output}'
        parameters: {dt: [0.001], model.depth: [3], name: ['a b']}
        files: {sub/other.txt: input.template, input.nml: input.template}
        """,
    "variables": """
        command: 'env -0; umask; cat /proc/self/cmdline | wc -c'
        env: {MINE: 'x {x} y', PATH_TOO: 'z'}
        parameters: {x: ['$(touch x) é 🎉']}
        seed: 5
        """,
    "large": """
        command: 'printf %s {x} | wc -c'
        parameters: {x: [LARGE]}
        """,
    "stdin": """
        command: 'cat; echo end'
        """,
    "measured": """
        command: 'python3 -S -c "x = bytearray(90_000_000); n = sum(range(6_000_000))"'
        """,
    "setup": """
        command: 'echo $FROM_SETUP'
        setup: |
          FROM_SETUP=$(echo made)
          export FROM_SETUP
        """,
    "posix_shell": """
        command: 'false | true; echo ok'
        shell: sh
        """,
    "pipefail": """
        command: 'false | true; echo ok'
        """,
}


@pytest.fixture(scope="module")
def ran(shared_workbench: Workbench) -> Workbench:
    """All experiments after one run of all of them."""
    workbench = shared_workbench
    workbench.write("input.template", "&nml dt={dt:.3e} name={name} /\n")
    files = []
    for name, text in EXPERIMENTS.items():
        text = text.replace("LARGE", "x" * 120_000)
        files.append(workbench.write(f"{name}.yaml", text))
    environment = {"RAW": "\udcff\udcfe", "TUI_LAB_TASK_ID": "outer", "TUI_LAB_P_x": "outer", "XDG_MARK": "kept"}
    before = os.umask(0o027)
    try:
        workbench("--run", *files, "--node", "localhost", 4, "--keep-going", env=environment, code=1)
    finally:
        os.umask(before)
    assert workbench.engine_pid() is None
    return workbench


def outcome(task: dict[str, Any]) -> tuple[Any, ...]:
    return task["state"], task["reason"], task["exit_code"], task["signal"]


def test_steps_run_one_after_the_other_into_files_of_their_own(ran: Workbench) -> None:
    good, bad = ran.tasks("stepwise")
    assert outcome(good) == ("done", None, 0, None)
    assert outcome(bad) == ("failed", "exit", 4, None)
    folder = ran.experiment("stepwise").task_folder(0)
    assert (folder / "first.stdout").read_text() == f"1 {folder}\n"
    assert (folder / "second.stderr").read_text() == "2\n"
    assert ran.output(0, "fourth.stdout", "stepwise") == "never\n"
    assert not (ran.experiment("stepwise").task_folder(1) / "fourth.stdout").exists()
    finished = {event["task"]: event for event in ran.events("finished", "stepwise")}
    assert finished[1]["step"] == 2
    assert [code for code, _ in finished[1]["steps"]] == [0, 0, 4]


def test_unnamed_steps_share_the_files(ran: Workbench) -> None:
    assert ran.output(0, "stdout", "unnamed") == "one\ntwo\n"
    assert outcome(ran.tasks("unnamed")[0]) == ("failed", "exit", 1, None)


def test_retries_keep_earlier_attempts_and_wait_longer_each_time(ran: Workbench) -> None:
    task = ran.tasks("retries")[0]
    assert (task["state"], task["attempts"], task["attempt"]) == ("done", 3, 3)
    for attempt, file in ((1, "stdout"), (2, "stdout.2"), (3, "stdout.3")):
        assert ran.output(0, file, "retries") == f"attempt {attempt} of {attempt}\n"
    assert Path(f"{ran.truth}.retries").read_text() == "1\n2\n3\n"
    assert [event.get("again") for event in ran.events("finished", "retries")] == [1.0, 2.0, None]


def test_retries_end(ran: Workbench) -> None:
    task = ran.tasks("retries_used_up")[0]
    assert (task["state"], task["attempts"]) == ("failed", 2)
    task = ran.tasks("no_retry")[0]
    assert (outcome(task), task["attempts"]) == (("failed", "signal", 137, 9), 1)


def test_a_timeout_stops_what_ignores_term(ran: Workbench) -> None:
    task = ran.tasks("timeouts")[0]
    assert (task["state"], task["reason"]) == ("failed", "timeout")
    assert 0.5 <= task["duration"] < 20


def test_exit_codes_that_count_as_success(ran: Workbench) -> None:
    states = {task["x"]: outcome(task) for task in ran.tasks("ok_exit_codes")}
    assert states == {
        0: ("failed", "exit", 0, None),
        10: ("done", None, 10, None),
        20: ("done", None, 20, None),
        30: ("failed", "exit", 30, None),
        255: ("failed", "exit", 255, None),
    }


def test_death_by_each_signal(ran: Workbench) -> None:
    for task in ran.tasks("signals"):
        assert outcome(task) == ("failed", "signal", 128 + task["x"], task["x"]), signal.Signals(task["x"])


def test_closed_outputs_are_no_trouble(ran: Workbench) -> None:
    assert outcome(ran.tasks("closed")[0]) == ("failed", "exit", 3, None)


def test_files_parameters_and_placeholders(ran: Workbench) -> None:
    folder = ran.experiment("files").task_folder(0)
    lines = ran.output(0, "stdout", "files").splitlines()
    assert lines[0] == "&nml dt=1.000e-03 name=a b /"
    assert (folder / "sub/other.txt").read_text() == lines[0] + "\n"
    assert '"depth": 3' in (folder / "params.json").read_text()
    assert lines[-2] == str(folder)
    slot, again, *rest = lines[-1].split()
    assert slot == again
    assert slot in "0123"
    assert rest == ["localhost", "1", "0", "0", "files"]


def test_variables_of_a_task(ran: Workbench) -> None:
    data = (ran.experiment("variables").task_folder(0) / "stdout").read_bytes()
    *pairs, rest = data.split(b"\0")
    variables = dict(pair.partition(b"=")[::2] for pair in pairs)
    assert variables[b"RAW"] == b"\xff\xfe"
    assert variables[b"XDG_MARK"] == b"kept"
    assert variables[b"MINE"].decode() == "x $(touch x) é 🎉 y"
    assert variables[b"TUI_LAB_TASK_ID"] == b"0"
    assert b"TUI_LAB_P_x" not in variables or variables[b"TUI_LAB_P_x"] != b"outer"
    for name in ("EXPERIMENT", "REPEAT", "ATTEMPT", "SEED", "OUTPUT", "NODE", "SLOT", "METRICS", "PARAMS"):
        assert f"TUI_LAB_{name}".encode() in variables
    assert rest.split()[0] == b"0027"


def test_labs_follow_the_umask(ran: Workbench) -> None:
    folder = ran.experiment("variables").task_folder(0)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert stat.S_IMODE((folder / "stdout").stat().st_mode) == 0o640


def test_large_values_arrive_whole(ran: Workbench) -> None:
    assert ran.output(0, "stdout", "large").strip() == "120000"


def test_standard_input_is_empty(ran: Workbench) -> None:
    assert ran.output(0, "stdout", "stdin") == "end\n"


def test_processor_time_and_memory_are_measured(ran: Workbench) -> None:
    task = ran.tasks("measured")[0]
    assert 0.02 < task["cpu_time"] < 20
    assert 90_000_000 < task["peak_rss"] < 200_000_000
    assert task["duration"] >= 0.02
    assert task["ended_at"] >= task["started_at"]


def test_setup_and_shells(ran: Workbench) -> None:
    assert ran.output(0, "stdout", "setup") == "made\n"
    assert outcome(ran.tasks("posix_shell")[0])[0] == "done"
    assert outcome(ran.tasks("pipefail")[0]) == ("failed", "exit", 1, None)


def test_nothing_is_left_running_or_lying_about(ran: Workbench) -> None:
    assert not ran.spool.exists()
    assert not (ran.lab_path / "engine.json").exists()
    until(lambda: not relatives(str(ran.folder).encode()))


def relatives(mark: bytes) -> list[int]:
    """Processes that have a text in their environment, besides this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            pid = int(path.parent.name)
            if mark in path.read_bytes() and pid != os.getpid() and alive(pid):
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_the_environment_of_tasks_is_recorded_nowhere(workbench: Workbench) -> None:
    secret = "only-in-the-environment"
    text = "command: 'echo $TOKEN | wc -c; while ! test -e go; do sleep 0.02; done'\n"
    run = workbench.start("--run", workbench.write("e.yaml", text), "--node", "localhost", 1, env={"TOKEN": secret})
    until(lambda: workbench.events("started"))

    def recorded() -> list[Path]:
        folders = (workbench.lab.path, workbench.spool)
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if secret.encode() in path.read_bytes()]

    assert workbench.spool.exists() and recorded() == []
    workbench.write("go", "")
    assert run.wait(60) == 0
    assert int(workbench.output(0)) == len(secret) + 1
    assert recorded() == []
