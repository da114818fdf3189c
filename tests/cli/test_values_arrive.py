"""What a program receives when a sweep runs: every value exactly as it was written, and the shell's own left
alone."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.workbench import Workbench

# Prints each of its arguments as JSON, one a line.
ARGUMENTS = """#!/bin/sh
exec python3 -S -E -c 'import json, os, sys
for word in sys.argv[1:]:
    print(json.dumps(os.fsencode(word).decode()))' "$@"
"""

VALUES = [
    "a b",
    "$(touch x)",
    "'; rm",
    "`touch x`",
    "\U0001f600 é",
    "line\nbreak\n",
    "",
    '"',
    "\\",
    "*",
    "-n",
    "~",
    "$HOME",
    "{a}",
    "@@SLOT@@",
    "tab\t ",
]


def arguments(workbench: Workbench, task: int, experiment: str = "grid") -> list[str]:
    return [json.loads(line) for line in workbench.output(task, name=experiment).splitlines()]


def test_values_bare_and_in_both_kinds_of_quotes(workbench: Workbench) -> None:
    workbench.write("args", ARGUMENTS, executable=True)
    workbench.write(
        "grid.yaml",
        "command:\n"
        "  plain: ./args {a} x{a}y\n"
        "  shell: |\n    ./args {a} \"in {a} double\" 'in {a} single' | cat\n"
        '  text: |\n    printf \'%s\' "$A" > "$TUI_LAB_OUTPUT/env"\n'
        "env: {A: '{a}'}\n"
        "files: {written: template}\n"
        f"parameters:\n  a: {json.dumps(VALUES, ensure_ascii=False)}\n",
    )
    workbench.write("template", "{a}")
    workbench.run("grid.yaml")
    assert not list(workbench.folder.rglob("x"))
    for task, value in enumerate(VALUES):
        folder = workbench.lab_path / "grid" / "tasks" / "0" / str(task)
        plain = [json.loads(line) for line in (folder / "plain.stdout").read_text().splitlines()]
        assert plain == [value, f"x{value}y"]
        shell = [json.loads(line) for line in (folder / "shell.stdout").read_text().splitlines()]
        assert shell == [value, f"in {value} double", f"in {value} single"]
        assert (folder / "env").read_bytes() == value.encode()
        assert (folder / "written").read_bytes() == value.encode()


def test_what_is_the_shells_stays_the_shells(workbench: Workbench) -> None:
    workbench.write("bin/docker", '#!/bin/sh\nprintf "%s|" "$@"\n', executable=True)
    workbench.write("args", ARGUMENTS, executable=True)
    workbench.write(
        "grid.yaml",
        "command:\n"
        "  awk: \"echo '1 2' | awk '{print $1}'\"\n"
        '  home: printf "%s" "${HOME}" ${HOME}\n'
        "  docker: docker ps --format '{{.Names}}' {n}\n"
        "  pipe: seq {n} | tail -1 | tr -d '\\n' && printf ' %s' \"$n\"\n"
        "  brackets: \"./args [abc] x[0] '[n]' [[n]] {{n}}\"\n"
        "env: {n: from-env}\n"
        "parameters: {n: [3]}\n",
    )
    path = f"{workbench.folder / 'bin'}:{workbench.environment['PATH']}"
    workbench.run("grid.yaml", env={"PATH": path, "HOME": "/somewhere"})
    folder = workbench.lab_path / "grid" / "tasks" / "0" / "0"
    printed = {step: (folder / f"{step}.stdout").read_text() for step in ("awk", "home", "docker", "pipe")}
    assert printed == {
        "awk": "1\n",
        "home": "/somewhere/somewhere",
        "docker": "ps|--format|{{.Names}}|3|",
        "pipe": "3 from-env",
    }
    brackets = [json.loads(line) for line in (folder / "brackets.stdout").read_text().splitlines()]
    assert brackets == ["[abc]", "x[0]", "[n]", "[n]", "{n}"]


def test_flags_groups_and_lists(workbench: Workbench) -> None:
    workbench.write("args", ARGUMENTS, executable=True)
    workbench.write(
        "grid.yaml",
        "command: './args [x] [--size {x}] end; true'\n"
        "parameters: {x: [true, false, null, 3, 0.5, 'a b', [1, 'c d'], []]}\n",
    )
    workbench.run("grid.yaml")
    assert [arguments(workbench, task) for task in range(8)] == [
        ["--x", "--size", "true", "end"],
        ["end"],
        ["end"],
        ["--x", "3.0", "--size", "3.0", "end"],
        ["--x", "0.5", "--size", "0.5", "end"],
        ["--x", "a b", "--size", "a b", "end"],
        ["--x", "1", "c d", "--size", '[1,"c d"]', "end"],
        ["--x", "--size", "[]", "end"],
    ]


@pytest.mark.slow
def test_typed_values_reach_the_program_and_the_tables(workbench: Workbench) -> None:
    workbench.write(
        "grid.yaml",
        "command: 'echo {a}; echo \"$TUI_LAB_PARAMS\"; cat {params}'\n"
        "parameters:\n"
        "  - {a: [true, 1, '1', 123456789012345678901234567890]}\n"
        "  - {a: [1.0, .nan, .inf, -0.0]}\n",
    )
    workbench.run("grid.yaml")
    shown = []
    for task in range(8):
        bare, given, *written = workbench.output(task, name="grid").splitlines()
        assert json.loads("".join(written)) == json.loads(given) or "NaN" in given
        shown.append((bare, given))
    assert shown == [
        ("true", '{"a":true}'),
        ("1", '{"a":1}'),
        ("1", '{"a":"1"}'),
        ("123456789012345678901234567890", '{"a":123456789012345678901234567890}'),
        ("1.0", '{"a":1.0}'),
        ("nan", '{"a":NaN}'),
        ("inf", '{"a":Infinity}'),
        ("0.0", '{"a":0.0}'),
    ]
    assert workbench("show", "3", "--json").json()["parameters"] == {"a": 123456789012345678901234567890}
    assert workbench("show", "5", "--json").json()["experiment"] == "grid"
    workbench.run("grid.yaml", "a=.nan,-.inf")
    assert len(workbench.table("SELECT * FROM grid")) == 9


def test_parameters_that_are_called_like_a_fact(workbench: Workbench) -> None:
    workbench.write(
        "grid.yaml",
        "command: echo {seed} {repeat} {node} {early-stop} {model.lr} {state}\n"
        "parameters: {seed: [7], repeat: [r], node: [n], early-stop: [3], model.lr: [0.1], state: [s]}\n"
        "repeat: 2\n",
    )
    workbench.run("grid.yaml")
    assert [workbench.output(task, name="grid") for task in (0, 1)] == ["7 r n 3 0.1 s\n"] * 2
    row = workbench.table('SELECT seed, in_repeat, in_node, "early-stop", "model.lr", in_state, repeat FROM grid')[1]
    assert row == {
        "seed": 7,
        "in_repeat": "r",
        "in_node": "n",
        "early-stop": 3,
        "model.lr": 0.1,
        "in_state": "s",
        "repeat": 1,
    }


def test_values_from_the_command_line(workbench: Workbench) -> None:
    workbench.write("args", ARGUMENTS, executable=True)
    workbench.write("grid.yaml", "command: ./args {a} {b}\nparameters: {a: [x], b: [1]}\n")
    words = ["a=c d", "a=it's: $(touch x) #1", "a=two\nlines", "a='q, r'", "a=[u, v]", "a=", "a=é,null\\"]
    workbench.run("grid.yaml", *words, "b=2")
    printed = [arguments(workbench, task) for task in range(1, 9)]
    assert [line[0] for line in printed] == [
        "c d",
        "it's: $(touch x) #1",
        "two\nlines",
        "q, r",
        '["u","v"]',
        "",
        "é",
        "null\\",
    ]
    assert not (workbench.folder / "x").exists()
    said = workbench.run("grid.yaml", b"a=\xff".decode("utf-8", "surrogateescape"), code=2).err
    assert "not valid UTF-8" in said


@pytest.mark.slow
def test_the_line_that_repeats_a_task(workbench: Workbench, tmp_path: Path) -> None:
    workbench.write("args", ARGUMENTS, executable=True)
    workbench.write(
        "grid.yaml",
        "command:\n"
        '  one: ../args {a} "$OWN" > one.txt\n'
        "  two: |\n    cat one.txt one.txt |\n      tail -1 > {output}/two.txt\n"
        "    ../args 'x {a}' \"$SET\" >> {output}/two.txt\n"
        "env: {OWN: 'own {a}'}\nworkdir: sub dir\nsetup: 'export SET=up'\n"
        f"parameters:\n  a: {json.dumps(VALUES[:7], ensure_ascii=False)}\n",
    )
    (workbench.folder / "sub dir").mkdir()
    workbench.run("grid.yaml", "--node", "localhost", "1")
    for task in range(7):
        written = workbench.lab_path / "grid" / "tasks" / "0" / str(task) / "two.txt"
        before = written.read_bytes()
        written.unlink()
        line = workbench("show", "--command", str(task)).out
        subprocess.run(["bash", "-c", line], cwd="/", check=True)
        assert written.read_bytes() == before
    workbench.write("plain.yaml", "command: ./args {a} --x\nparameters: {a: [it's]}\nenv: {B: '{a} b'}\n")
    workbench.run("plain.yaml")
    line = workbench("show", "--command", "plain/0").out
    folder = shlex.quote(str(workbench.folder))
    # in parentheses: whoever pastes it stays where they are
    assert line == f'( cd {folder} && B="it\'s b" ./args "it\'s" --x )\n' or shlex.split(line)[4] == "B=it's b"
    assert line.startswith(f"( cd {folder} && ") and line.endswith(" )\n")
    ran = subprocess.run(["bash", "-c", line], cwd="/", check=True, capture_output=True, text=True)
    assert ran.stdout == workbench.output(0, name="plain")


@pytest.mark.slow
def test_first_shows_one_task_and_leaves_no_result(workbench: Workbench) -> None:
    workbench.write("args", ARGUMENTS, executable=True)
    workbench.write(
        "grid.yaml",
        "command: ./args {a} {output}; echo oops >&2; exit {code}\nparameters: {a: ['x y'], code: [0, 4]}\n",
    )
    result = workbench.run("grid.yaml", "--first")
    assert json.loads(result.lines[0]) == "x y"
    assert "oops" in result.err
    assert "./args 'x y'" in result.err
    assert "✓ done" in result.err
    assert "✗ exit 4" in workbench.run("grid.yaml", "--first", "code=4", code=1).err
    assert not list(workbench.lab_path.glob("grid/journal.jsonl"))
