"""Commands of plain words are started without a shell, and nobody can tell by what their programs get."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from tests.engine.agent.talk import Talk
from tests.workbench import Workbench
from tui_lab.experiment.shell.command import compile_command

SHOW = """#!{python}
import os, sys
variables = {{name: value for name, value in os.environb.items() if name not in (b"_", b"PWD", b"OLDPWD")}}
print([os.fsencode(word) for word in sys.argv[1:]], sorted(variables.items()), os.getcwd())
"""
VALUES: list[Any] = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "$HOME",
    "$(x)",
    "`x`",
    "*",
    "~",
    "{a,b}",
    "\\",
    "-n",
    "é",
    "a\nb",
    ";",
    "#",
    "!",
]
VALUES += [0, 1.5, True, ["a", "b c"], "x=y", "%s", "[a]", "\x7f", "\u2028"]
COMMANDS = [
    "./show {x} 'it is' \"{x}\" a\\ b --n={x} [x] [--opt {x}]",
    "show a'b'\"c\" = a=b {x}{x} @ % ^ , : / . + - ]",
    "./show \\~ '*' \"?\" '$HOME' '{{x}}' a#b '#' '{a,b}' \\$ '' \"\"",
]  # fmt: skip


@pytest.fixture
def scene(talk: Talk) -> Talk:
    show = talk.folder / "show"
    show.write_text(SHOW.format(python=sys.executable))
    show.chmod(0o755)
    talk.connect()
    odd = {"SHLVL": "0", "no.identifier": "x", "PS1": "(.venv) "}
    environment = {**os.environ, "PATH": f"{talk.folder}:{os.environ['PATH']}", **odd}
    talk.context(environment=environment, shell="bash")
    return talk


@pytest.mark.slow
def test_programs_get_the_same_words_and_variables_as_from_a_shell(scene: Talk) -> None:
    pairs: list[tuple[int, Any]] = []
    for source in COMMANDS:
        command = compile_command(source, ["x"], widths={"x": 2})
        assert not command.needs_shell
        for value in VALUES:
            task = 2 * len(pairs)
            variables = command.environment({"x": value})
            own = {"TUI_LAB_OUTPUT": "same", "TUI_LAB_ATTEMPT": "1"}
            scene.start(task, command.script({"x": value}), env=own | variables)
            scene.start(task + 1, "", argv=[command.argv({"x": value})], env=own | variables)
            pairs.append((task, value))
    for _ in range(2 * len(pairs)):
        assert scene.receive("finished")["state"] == "done"
    for task, value in pairs:
        by_shell, directly = ((scene.output(number) / "stdout").read_text() for number in (task, task + 1))
        assert without(directly, b"TUI_LAB_SLOT") == without(by_shell, b"TUI_LAB_SLOT"), value


def without(text: str, name: bytes) -> str:
    return text.replace(f"({name!r}, b'0')", "").replace(f"({name!r}, b'1')", "")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["nosuch", "a"], 127, "nosuch: command not found"),
        (["./nosuch"], 127, "./nosuch: No such file or directory"),
        (["./plain"], 126, "./plain: Permission denied"),
        (["/tmp"], 126, "/tmp: Is a directory"),
        (["./orphan"], 127, "./orphan: its interpreter /no/such does not exist"),
        (["./script", "a b"], 3, "a b from ./script by bash"),
        (["script", "a b"], 3, "a b from"),
        (["false"], 1, ""),
    ],
)
def test_what_a_shell_would_say(scene: Talk, words: list[str], status: int, said: str) -> None:
    for name, text in (
        ("plain", ""),
        ("orphan", "#!/no/such\n"),
        ("script", 'echo "$1 from $0 by ${BASH_VERSION:+bash}" >&2; exit 3'),
    ):
        (scene.folder / name).write_text(text)
        (scene.folder / name).chmod(0o644 if name == "plain" else 0o755)
    scene.start(0, "", argv=[words])
    assert scene.receive("finished").get("exit_code", 0) == status
    stderr = (scene.output(0) / "stderr").read_text()
    assert stderr.startswith(said)
    assert stderr.count("\n") == bool(said)


def test_a_function_that_was_exported_goes_before_a_program(scene: Talk) -> None:
    scene.context(id="f", environment={**os.environ, "BASH_FUNC_ls%%": "() { echo function; }"})
    scene.start(0, "ls", argv=[["ls"]], context="f")
    assert scene.receive("finished")["state"] == "done"
    assert (scene.output(0) / "stdout").read_text() == "function\n"


@pytest.mark.slow
def test_a_shell_that_is_asked_for_is_used(workbench: Workbench) -> None:
    parent = workbench.folder / "parent"
    parent.write_text("#!/bin/sh\ntr '\\0' ' ' </proc/$PPID/cmdline\n")
    parent.chmod(0o755)
    for name, shell in (("without", ""), ("with", "shell: dash\n")):
        file = workbench.write(f"{name}.yaml", f"command: ./parent {{x}} {{x}}\nparameters: {{x: [1]}}\n{shell}")
        workbench("--run", file)
    assert "tui-lab-agent" in workbench.output(0, name="without")  # no shell is in between
    assert workbench.output(0, name="with").startswith(("dash -e -c ", "sh -c "))


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_a_path_of_the_file_is_for_its_programs(workbench: Workbench, path: str) -> None:
    text = f"parameters: {{x: [1]}}\nenv: {{PATH: '{path}'}}\n"
    run = workbench.run_text("command: 'nosuch; echo {x}'\n" + text, code=None)
    assert "bash: line 1: nosuch: " in workbench.output(0, "stderr")
    run = workbench("--run", workbench.write("d.yaml", "command: nosuch {x}\n" + text), code=None)
    assert workbench.output(0, "stderr", "d") == f"nosuch: command not found (PATH is {path or 'empty'})\n"
    assert "/0/1/0" not in run.out + run.err
