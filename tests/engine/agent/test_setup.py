"""Setup lines: seen while they run, ended with the run, bounded in time; and the forms that the guide names."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.engine.agent.talk import Talk
from tests.workbench import Workbench, alive, until

HANGS = (
    """echo words of it; (trap '' TERM; echo $BASHPID >>pids; while :; do sleep 1; done) & echo $$ >>pids; sleep 1000"""
)


def pids(folder: Path) -> list[int]:
    """Of a setup that hangs, once all of it runs."""
    until(lambda: (folder / "pids").exists() and len((folder / "pids").read_text().split()) == 2)
    return [int(word) for word in (folder / "pids").read_text().split()]


@pytest.mark.slow
def test_a_setup_is_seen_and_ends_with_its_run(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", f"command: echo {{x}}\nparameters: {{x: [1, 2]}}\nsetup: |\n  {HANGS}\n")
    printed = workbench.folder / "printed"
    with open(printed, "w") as stderr:
        run = workbench.start("--run", file, stderr=stderr)
    started = pids(workbench.folder)
    until(lambda: "setup is running (" in workbench("status", code=None).out)
    assert "localhost: setup is running (" in workbench("nodes", code=None).out
    until(lambda: "setup is running" in printed.read_text())
    run.send_signal(signal.SIGTERM)
    run.wait(60)
    assert printed.read_text().count("setup is running") == 1
    until(lambda: not any(map(alive, started)))
    assert {task["state"] for task in workbench.tasks()} == {"pending"}


@pytest.mark.slow
def test_a_setup_has_a_time_limit(workbench: Workbench) -> None:
    text = f"command: echo {{x}}\nparameters: {{x: [1, 2]}}\nsetup: |\n  {HANGS}\nsetup_timeout: 1s\n"
    run = workbench.run_text(text, code=1)
    assert "setup took longer than 1 s: words of it" in run.out + run.err
    until(lambda: not any(map(alive, pids(workbench.folder))))


@pytest.mark.slow
def test_a_setup_that_nobody_waits_for_any_more(talk: Talk) -> None:
    talk.connect()
    talk.context(setup=HANGS)
    key = talk.start(0, "true")
    first = pids(talk.folder)
    assert talk.receive("setup")["running_for"] is not None
    talk.stop(key)
    assert talk.receive("finished")["state"] == "stopped"
    until(lambda: not any(map(alive, first)))
    (talk.folder / "pids").unlink()
    key = talk.start(1, "true")  # it runs again for the next task
    second = pids(talk.folder)
    assert not set(second) & set(first)
    talk.stop(key)
    until(lambda: not any(map(alive, second)))


@pytest.mark.fault
@pytest.mark.parametrize("recorded", [True, False])
def test_a_setup_of_an_agent_that_was_killed(talk: Talk, recorded: bool) -> None:
    """Before it has recorded the setup's pid, too."""
    talk.connect()
    talk.context(setup=HANGS)
    talk.start(0, "true")
    started = pids(talk.folder)
    record = talk.spool / "setup-1.pid"
    until(record.read_text)
    talk.kill()
    if not recorded:
        record.write_text("")
    assert talk.connect(epoch=2)["setup"] is None
    until(lambda: not any(map(alive, started)))


def test_what_a_setup_leaves_running_ends_with_the_agent(talk: Talk) -> None:
    talk.connect()
    talk.context(setup="setsid sh -c 'echo $$ >pid; exec sleep 1000' & until test -s pid; do sleep 0.01; done")
    key = talk.start(0, "true")
    assert talk.receive("finished")["state"] == "done"
    pid = int((talk.folder / "pid").read_text())
    assert alive(pid)
    talk.ack(key)
    talk.send({"type": "bye"})
    until(lambda: not alive(pid) and not alive(talk.pid))


CONDA = """
conda() {
  case $1 in
  activate) export CONDA_DEFAULT_ENV="$2" PATH="$ROOT/envs/$2/bin:$PATH" ;;
  *) "$ROOT/bin/conda" "$@" ;;
  esac
}
"""


@pytest.mark.parametrize("known", ["CONDA_EXE", "PATH", "HOME"])
@pytest.mark.parametrize("shell", [None, "sh"])
def test_conda_activate(talk: Talk, known: str, shell: str | None) -> None:
    """Without its hook `conda` is a program that can't change its shell, where it is on PATH at all."""
    root = talk.folder / "miniforge3"
    (root / "etc/profile.d").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "etc/profile.d/conda.sh").write_text(f"ROOT={root}\n{CONDA}")
    (root / "bin/conda").write_text('#!/bin/sh\necho "Run conda init before conda activate" >&2; exit 1\n')
    (root / "bin/conda").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "HOME": str(talk.folder if known == "HOME" else talk.folder / "no")}
    if known == "CONDA_EXE":
        environment["CONDA_EXE"] = str(root / "bin/conda")
    elif known == "PATH":
        environment["PATH"] = f"{root}/bin:{environment['PATH']}"
    talk.connect()
    talk.context(setup="conda activate lab", environment=environment, shell=shell)
    talk.start(0, 'echo "$CONDA_DEFAULT_ENV ${PATH%%:*}"')
    finished = talk.receive("finished")
    assert finished["state"] == "done", finished
    assert (talk.output(0) / "stdout").read_text() == f"lab {root}/envs/lab/bin\n"


@pytest.mark.parametrize(("name", "asked"), [("conda", "shell.posix hook"), ("micromamba", "shell hook --shell posix")])
@pytest.mark.parametrize("shell", [None, "sh"])
def test_a_conda_that_brings_no_file_for_shells(talk: Talk, name: str, asked: str, shell: str | None) -> None:
    """It prints its hook, as micromamba does, which is one program."""
    bin = talk.folder / "bin"
    bin.mkdir()
    hook = f'{name}() {{ export CONDA_DEFAULT_ENV="$2"; }}'
    (bin / name).write_text(f"#!/bin/sh\ntest \"$*\" = '{asked}' && echo '{hook}'\n")
    (bin / name).chmod(0o755)
    talk.connect()
    environment = {"PATH": f"{bin}:{os.environ['PATH']}", "HOME": str(talk.folder)}
    talk.context(setup=f"{name} activate lab", environment=environment, shell=shell)
    talk.start(0, 'echo "$CONDA_DEFAULT_ENV"')
    finished = talk.receive("finished")
    assert finished["state"] == "done", finished
    assert (talk.output(0) / "stdout").read_text() == "lab\n"


def test_without_conda_it_is_a_command_that_is_not_found(talk: Talk) -> None:
    talk.connect()
    talk.context(setup="conda activate lab", environment={"PATH": "/usr/bin:/bin", "HOME": str(talk.folder)})
    talk.start(0, "true")
    message = talk.receive("finished")["message"]
    assert message.startswith("setup exited with 127: ") and "conda: " in message
