"""Notes on what is easily meant otherwise, before a run and after one."""

from __future__ import annotations

import pytest

from tests.workbench import Workbench


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "command: 'echo {d}'\nparameters: {d: [/x, ~/data]}\n",
            ["2:22: ~ in a value reaches the program unchanged"],
        ),
        ("command: 'echo {d}'\nparameters: {d: ['${HOME}/x', $HOME]}\n", ["2:18: ${HOME} in a value"]),
        ("command: 'echo {d}'\nparameters: {d: ['{output}/x']}\n", ["2:18: {output} in a value"]),
        ("command: 'echo {d:raw}'\nparameters: {d: [~/data, $HOME]}\n", []),
        ("command: 'echo {d}'\nparameters: {d: [a$b, '$5', '{a}', a~/b, '5~']}\n", []),
        (
            "command: 'true {d}'\nparameters: {d: [1], e: [1]}\n",
            ["2:22: no command, file or variable uses"],
        ),
        ("command: ./main.py\nparameters: {d: [1]}\n", []),
        ("command: ./other.py {d}\nparameters: {d: [1], e: [1]}\n", []),
        ("command: 'true'\ncode: 'lib/**'\nparameters: {d: [1]}\n", []),
    ],
)
def test_notes_of_check(workbench: Workbench, text: str, said: list[str]) -> None:
    (workbench.folder / "lib").mkdir()
    workbench.write("lib/deep.py", "TUI_LAB_PARAMS\n")
    workbench.write("helper.py", "import os\nos.environ['TUI_LAB_PARAMS']\n")
    for name in ("main.py", "other.py"):
        workbench.write(name, "#!/usr/bin/env python3\nimport helper\n").chmod(0o755)
    check = workbench.process("check", workbench.write("e.yaml", text))
    notes = [line for line in (check.out + check.err).splitlines() if line.startswith("note: ")]
    assert len(notes) == len(said)
    for note, wanted in zip(notes, said, strict=True):
        assert f"e.yaml:{wanted}" in note


@pytest.mark.slow
def test_a_program_and_its_arguments_in_one_value(workbench: Workbench) -> None:
    text = "command: '{{prog{}}} {{n}}'\nparameters: {{prog: [/bin/echo, /bin/echo a], n: [1]}}\n"
    check = workbench.process("check", workbench.write("e.yaml", text.format("")), code=2)
    assert (
        'e.yaml:2:32: "/bin/echo a" is a single word here, and no program has this name; {prog:raw} splits' in check.out
    )
    workbench.process("check", workbench.write("e.yaml", text.format(":raw")))


@pytest.mark.parametrize("words", [(), ("--first",)])
def test_a_pipe_that_nobody_reads_to_its_end(workbench: Workbench, words: tuple[str, ...]) -> None:
    run = workbench.run_text("command: 'seq 1000000 | head -1'\n", *words, code=1)
    assert "signal 13" in run.err and "pipefail counts that" in run.err


def test_a_name_with_a_dot_is_to_be_quoted_in_sql(workbench: Workbench) -> None:
    workbench.write(
        "g.yaml",
        "name: g\ncommand: echo {f1.macro} {lr.sched.gamma}\nparameters: {f1.macro: [1], lr.sched.gamma: [2]}\n",
    )
    workbench("--run", "g.yaml")
    for query, name in (("SELECT f1.macro FROM g", "f1.macro"), ("SELECT g.lr.sched.gamma FROM g", "lr.sched.gamma")):
        assert f'write "{name}" in double quotes' in workbench("query", query, code=2).err
