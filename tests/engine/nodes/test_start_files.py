"""What a login costs is paid once for each connection, never for a task."""

from __future__ import annotations

import shutil

import pytest

from tests.engine.nodes.fleet import Fleet, Node
from tests.workbench import Workbench

COUNTS = 'echo run >>"$HOME/runs"; sleep 0.3; echo words of a start file; export FROM_RC=yes\n'
SHELL = "name: e\ncommand: 'echo \"$FROM_RC {x}\" | cat'\nparameters: {x: {range: [0, 49]}}\n"


def runs(node: Node) -> int:
    """How often the start file has run."""
    return len((node.machine.home / "runs").read_text().splitlines())


@pytest.mark.parametrize("shared", [True, False])
def test_start_files_run_for_connections_not_for_tasks(workbench: Workbench, fleet: Fleet, shared: bool) -> None:
    node = fleet.node("one", slots=4, shared=shared, bashrc=COUNTS)
    file = workbench.write("e.yaml", SHELL)
    workbench("--run", file, *node.words, env=fleet.environment(workbench))
    assert workbench.output(48) == "yes 48\n"
    assert runs(node) <= 3  # the agent, the files, the packages of the node


def test_what_else_a_login_leaves(workbench: Workbench, fleet: Fleet) -> None:
    """Files that variables name, in commands, setup and metrics; the way to an SSH agent stays."""
    node = fleet.node("one", bashrc=COUNTS + 'export BASH_ENV="$HOME/.bashrc" SSH_AUTH_SOCK=/agent ZDOTDIR="$HOME"\n')
    text = "name: e\ncommand: env\nrepeat: 20\nsetup: 'export OF_SETUP=1; has_setup() { :; }; export -f has_setup'\n"
    workbench("--run", workbench.write("e.yaml", text), *node.words, env=fleet.environment(workbench))
    assert runs(node) <= 8  # each login, by its shell and the file that it names; and setup
    found = dict(line.partition("=")[::2] for line in workbench.output(0).splitlines())
    assert not {"SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "BASH_ENV", "ZDOTDIR"} & set(found)
    assert (found["SSH_AUTH_SOCK"], found["OF_SETUP"], found["FROM_RC"]) == ("/agent", "1", "yes")
    assert "BASH_FUNC_has_setup%%" in found  # which dash does not pass on


def test_a_file_may_ask_for_a_start_file(workbench: Workbench, fleet: Fleet) -> None:
    node = fleet.node("one")
    (node.machine.home / "mine").write_text("mine() { echo called; }\n")
    text = f"name: e\ncommand: 'true; mine'\nenv: {{BASH_ENV: {node.machine.home}/mine}}\n"
    run = workbench.process(
        "--run", workbench.write("e.yaml", text), *node.words, env=fleet.environment(workbench), code=None
    )
    assert (run.code, workbench.output(0)) == (0, "called\n")


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_run_here_by_someone_who_came_by_ssh(workbench: Workbench, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    home = workbench.folder / "home"
    home.mkdir()
    for name in (".bashrc", ".zshenv"):
        (home / name).write_text('echo run >>"$HOME/runs"\n')
    login = {"HOME": str(home), "SSH_CLIENT": "192.0.2.1 1 22", "SHLVL": "0"}
    text = f"name: e\ncommand: 'echo \"$SHLVL\" | cat'\nshell: {shell}\nrepeat: 3\n"
    workbench("--run", workbench.write("e.yaml", text), env=login)
    assert not (home / "runs").exists()
