"""What a person reads who made a mistake, and the exit status; nothing is run or written before that."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.workbench import Workbench
from tui_lab.cli.commands import COMMANDS
from tui_lab.cli.main import main
from tui_lab.store.lab import Lab

GOOD = "command: echo {a}\nparameters: {a: [1, 2]}\n"

# Name of the case -> (file, first line of what is said).
FILES = {
    "yaml": ("command: echo {a\nparameters: {a: [1\n", 'x.yaml:2:17: this "[" is not closed'),
    "empty file": ("", "x.yaml:1:1: the file is empty"),
    "unknown key": (
        "command: echo {a}\nparametrs: {a: [1]}\n",
        'x.yaml:2:1: there is no key "parametrs"; did you mean "parameters"?',
    ),
    "later key": (GOOD + "hooks: {}\n", 'x.yaml:3:1: "hooks" is not supported yet'),
    "unknown placeholder": (
        "command: echo {neuron}\nparameters: {neurons: [1]}\n",
        "x.yaml:1:15: there is no parameter for {neuron}; did you mean {neurons}?",
    ),
    "empty list": ("command: echo {a}\nparameters: {a: []}\n", "x.yaml:2:17: an empty list of values"),
    "zero tasks": (
        GOOD + "where: a > 5\n",
        'x.yaml:3:8: no combination is left: "where" is true for none of 2',
    ),
    "duplicate key": (GOOD + "repeat: 1\nrepeat: 2\n", 'x.yaml:4:1: "repeat" is given twice'),
    "duplicate parameter": (
        "command: echo {a}\nparameters:\n  a: [1]\n  a: [2]\n",
        'x.yaml:4:3: "a" is given twice, the first time in line 3',
    ),
    "pattern": (GOOD + "metrics: {m: 'x ((@float@)'}\n", "x.yaml:3:17: in the pattern: missing )"),
    "where": (GOOD + "where: a >> > 3\n", 'x.yaml:3:13: syntax error at ">"'),
    "where of unknown name": (GOOD + "where: b = 3\n", 'x.yaml:3:8: unknown name "b"'),
    "derive": (GOOD + "derive: {b: 2 *}\n", "x.yaml:3:1"),
    "sql metric": (GOOD + "metrics: {m: {sql: 'nope + 1'}}\n", 'x.yaml:3:21: unknown name "nope"'),
    "command": (
        "command: no-such-program --x {a}\nparameters: {a: [1]}\n",
        'x.yaml:1:10: the command "no-such-program" is not found in PATH',
    ),
    "command in a script": (
        "command: |\n  # first\n  no-such-program {a} | sort\nparameters: {a: [1]}\n",
        'x.yaml:3:3: the command "no-such-program" is not found in PATH',
    ),
    "command of a step": (
        "command:\n  one: echo {a}\n  two: ./two.sh\nparameters: {a: [1]}\n",
        'x.yaml:3:8: the command "./two.sh" is not found; looked for in ',
    ),
    "command without ./": (
        "command: plain.txt {a}\nparameters: {a: [1]}\n",
        'x.yaml:1:10: the command "plain.txt" is not found in PATH; did you mean "./plain.txt"?',
    ),
    "command not executable": (
        "command: ['./plain.txt {a}', echo 2]\nparameters: {a: [1]}\n",
        'x.yaml:1:12: the command "./plain.txt" is not executable; chmod +x ',
    ),
    "command is a folder": ("command: ./sub\n", 'x.yaml:1:10: the command "./sub" is a folder'),
    "shell": (GOOD + "shell: no-such-shell\n", 'x.yaml:3:8: the shell "no-such-shell" is not found'),
    "workdir": (GOOD + "workdir: nowhere/at/all\n", "x.yaml:3:10: the working folder "),
    "workdir is a file": (GOOD + "workdir: plain.txt\n", "x.yaml:3:10: the working folder "),
    "template": (GOOD + "files: {f: none.tmpl}\n", 'x.yaml:3:12: the template "none.tmpl"'),
    "bare null": (
        "command: echo {a}\nparameters:\n  a:\n  - 1\n  - null\n",
        "x.yaml:5:5: the value of a is null, which has no text; [a] is --a VALUE, and nothing where it is null",
    ),
    "NUL": ('command: echo {a}\nparameters: {a: ["x\\0y"]}\n', "x.yaml:2:18: the value of a holds a NUL"),
    "too long": (
        "command: echo {a}\nparameters: {a: [" + "x" * 140_000 + "]}\n",
        "x.yaml:2:18: the value of a is 140,000 bytes long",
    ),
    "drawn without sample": (
        "command: echo {a}\nparameters: {a: {uniform: [0, 1]}}\n",
        "x.yaml:2:17: ",
    ),
    "table's name": ("name: nodes\n" + GOOD, 'x.yaml:1:7: an experiment can\'t be called "nodes"'),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is said of all these files at once."""
    workbench = Workbench(tmp_path_factory.mktemp("mistakes"))
    workbench.write("plain.txt", "")
    (workbench.folder / "sub").mkdir()
    for number, (text, _) in enumerate(FILES.values()):
        workbench.write(f"x{number}.yaml", text)
    result = workbench.run(*(f"x{number}.yaml" for number in range(len(FILES))), code=2)
    assert result.out == ""
    assert not workbench.lab_path.exists()
    return result.err.splitlines()


@pytest.mark.parametrize("case", FILES)
def test_mistakes_in_a_file_are_said_at_their_place(said: list[str], case: str) -> None:
    file = f"x{list(FILES).index(case)}.yaml"
    mine = [line for line in said if line.startswith(file)]
    assert len(mine) == 1
    assert mine[0].startswith(FILES[case][1].replace("x.yaml", file))


def test_all_mistakes_of_all_files_are_said_at_once(workbench: Workbench) -> None:
    workbench.write("a.yaml", "comand: echo\nrepeat: 0\nmetrics: {m: '(('}\n")
    workbench.write("b.yaml", GOOD)
    workbench.write("c.yaml", "command: no-such-program\n")
    result = workbench.run("a.yaml", "b.yaml", "missing.yaml", "c.yaml", code=2)
    places = [line.split(": ")[0] for line in result.err.splitlines()]
    assert places == ["a.yaml:1:1", "a.yaml:2:9", "a.yaml:3:16", "c.yaml:1:10", "missing.yaml"]
    assert not workbench.lab_path.exists()
    found = workbench("check", "a.yaml", "b.yaml", code=2)
    assert len(found.lines) == 4
    assert found.lines[3] == "b.yaml: b: 2 tasks, no mistakes"
    workbench.write("nodes.yaml", "nodes:\n  - {name: tower, host: 192.0.2.9}\n  - {name: attic}\n")
    assert workbench("check", "nodes.yaml").out == "nodes.yaml: a cluster of 2 nodes, no mistakes\n"
    workbench.write("nodes.yaml", "nodes:\n  - {name: tower, hots: 192.0.2.9}\n")
    assert 'nodes.yaml:2:19: "hots" is no key of a node' in workbench("check", "nodes.yaml", code=2).out
    problems = workbench("check", "a.yaml", "--json", code=2).json()["problems"]
    assert [(problem["line"], problem["column"]) for problem in problems] == [(1, 1), (2, 9), (3, 16)]


@pytest.mark.slow
def test_files_that_are_none(workbench: Workbench) -> None:
    (workbench.folder / "folder").mkdir()
    (workbench.folder / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert workbench.run("missing.yaml", code=2).err == "missing.yaml: there is no such file\n"
    assert workbench.run("folder", code=2).err == "folder: this is a folder, not a file\n"
    assert workbench.run("binary.yaml", code=2).err.startswith("binary.yaml")
    assert "needs a file" in workbench.run(code=2).err


def test_two_files_with_the_same_name(workbench: Workbench) -> None:
    workbench.write("a.yaml", "name: same\n" + GOOD)
    workbench.write("b.yaml", "name: same\n" + GOOD)
    assert "two of the files are called same" in workbench.run("a.yaml", "b.yaml", code=2).err


@pytest.mark.slow
def test_words_that_mean_nothing(workbench: Workbench) -> None:
    workbench.write("x.yaml", GOOD)
    assert 'did you mean "status"?' in workbench("stattus", code=2).err
    assert "unrecognized arguments: --bogus" in workbench.run("x.yaml", "--bogus", code=2).err
    assert 'unrecognized arguments: --detatch; did you mean "--detach"?' in workbench.run("--detatch", code=2).err
    shows = "`tui-lab plan FILE` shows what a run would do, and runs nothing\n"
    for option in ("--dry-run", "-n", "--plan", "--list", "--simulate", "--dry-run=client"):
        assert workbench.run("x.yaml", option, code=2).err.endswith(f"unrecognized arguments: {option}; {shows}")
    assert "`tui-lab check FILE` looks for mistakes" in workbench.run("x.yaml", "--check", code=2).err
    assert workbench("plan", "x.yaml", "--dry-run", code=2).err.endswith(shows)
    assert workbench("export", "--json", code=2).err.endswith("--json; write --format json\n")
    assert 'aa=3: x.yaml has no parameter "aa"' in workbench.run("x.yaml", "aa=3", code=2).err
    workbench.write("y.yaml", "command: echo {aa}\nparameters: {aa: [1, 2]}\n")
    assert 'aa=3: x.yaml has no parameter "aa"' in workbench.run("x.yaml", "y.yaml", "aa=3", code=2).err
    said = workbench.run("x.yaml", "--only", "aa > 1", code=2).err.splitlines()
    assert said == ['tui-lab: x.yaml, --only: unknown name "aa"', "  aa > 1", "  ^"]
    assert "tui-lab" in workbench.run("x.yaml", "--only", "a >", code=2).err
    assert workbench("plan", "a=1", code=2).err.startswith("tui-lab: plan needs a file")
    assert not workbench.lab_path.exists()
    workbench.run("x.yaml")
    assert workbench.inside("query", ".tables", code=2).err.startswith("tui-lab: query knows no .tables; .schema")


def test_a_program_that_only_the_shell_knows_is_no_mistake(workbench: Workbench) -> None:
    workbench.write("x.yaml", "command: 'cd / && pwd'\n")
    workbench.write("y.yaml", "command: 'no-such-program || echo instead'\n")
    workbench.write("z.yaml", "command: 'f() { echo {a}; }; f'\nparameters: {a: [1]}\n")
    workbench.write("e.yaml", "command: 'A={a} no-such-program-either || true'\nparameters: {a: [1]}\n")
    workbench.write("s.yaml", "command: my-tool {a}\nparameters: {a: [1]}\nsetup: 'my-tool() { echo; }'\n")
    workbench("check", "x.yaml", "y.yaml", "z.yaml", "e.yaml", "s.yaml")
    env = {"BASH_FUNC_exported%%": "() { echo 1; }"}
    workbench.write("f.yaml", "command: 'exported; echo {a}'\nparameters: {a: [1]}\n")
    workbench("check", "f.yaml", env=env)


# --- Labs


def test_labs_that_are_none(workbench: Workbench) -> None:
    (workbench.folder / "folder").mkdir()
    workbench.write("full/thesis.tex", "")
    workbench.write("x.yaml", GOOD)
    for command in (["status"], ["logs", "3"], ["show", "3"], ["stop"], ["retry"]):
        said = workbench.inside(*command, code=2).err
        assert said == "tui-lab: lab: there is no lab here; `tui-lab --run FILE` makes one; --lab DIR names another\n"
    assert "is no lab (it has no lab.json)" in workbench("status", "--lab", "folder", code=2).err
    assert "is a file" in workbench("status", "--lab", "x.yaml", code=2).err
    assert "is not empty and is no lab" in workbench.run("x.yaml", "--lab", "full", code=2).err
    assert "is a file, not a folder" in workbench.run("x.yaml", "--lab", "x.yaml", code=2).err


def test_a_lab_and_a_journal_from_a_newer_version(workbench: Workbench) -> None:
    workbench.write("x.yaml", GOOD)
    workbench.write("lab/lab.json", '{"format": 2, "id": "x"}')
    assert "made by a newer tui-lab (format 2, this one reads 1); upgrade tui-lab" in workbench("status", code=2).err
    assert "newer tui-lab" in workbench.run("x.yaml", code=2).err
    workbench.write("lab/lab.json", '{"format": 1, "id": "x"}')
    journal = workbench.write("lab/x/journal.jsonl", '{"event":"journal","format":3}\n')
    assert "newer tui-lab (journal format 3, this one reads 2)" in workbench.run("x.yaml", code=2).err
    assert "newer tui-lab" in workbench("status", code=2).err
    assert journal.read_text() == '{"event":"journal","format":3}\n'
    workbench.write("lab/lab.json", "{")
    assert "is damaged" in workbench("status", code=2).err


@pytest.fixture
def mounted(workbench: Workbench) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = workbench.folder / "mounted"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield place
    finally:
        workbench.close()
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_lab_on_a_read_only_file_system(workbench: Workbench, mounted: Path) -> None:
    workbench.write("x.yaml", GOOD)
    lab = ["--lab", str(mounted / "lab")]
    workbench.run("x.yaml", *lab)
    workbench.close()  # nothing may have a file open there for writing
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    result = workbench.run("x.yaml", *lab, "a=5", code=3)
    assert "Read-only file system; choose another place with --lab DIR" in result.err
    assert "Read-only file system" in workbench.run("x.yaml", "--lab", str(mounted / "other"), code=3).err
    # What only reads goes on working.
    assert workbench("status", "--json", *lab).json()["experiments"][0]["counts"]["done"] == 2
    assert workbench("logs", "1", *lab).out == "2\n"
    assert "x/0: ✓ done" in workbench("show", "0", *lab).out
    assert workbench("plan", "x.yaml", *lab).lines[2].strip() == "2 done"
    assert len(json.loads(workbench("query", "SELECT * FROM x", "--format", "json", *lab).out)) == 2


@pytest.mark.parametrize("command", [("query", "SELECT * FROM x"), ("export", "x"), ("stats", "x")])
@pytest.mark.parametrize("ending", ["csv", "parquet", "md"])
def test_a_file_that_the_disk_has_no_room_for(
    workbench: Workbench, mounted: Path, command: tuple[str, str], ending: str
) -> None:
    workbench.write("x.yaml", GOOD + "metrics: {m: '(@int@)'}\n")
    workbench.run("x.yaml")
    (mounted / "fill").write_bytes(b"x" * (64 << 10))
    file = mounted / f"o.{ending}"
    assert workbench.inside(*command, "-o", str(file), code=3).err == f"tui-lab: {file}: No space left on device\n"
    assert [entry.name for entry in mounted.iterdir()] == ["fill"]


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 4, 8, 12, 16, 20])
def test_a_lab_on_a_full_disk(workbench: Workbench, mounted: Path, room: int) -> None:
    workbench.write("x.yaml", GOOD)
    with open(mounted / "fill", "wb") as file:
        file.write(b"x" * ((64 - room) << 10))
    result = workbench.run("x.yaml", "--lab", str(mounted / "lab"), code=3)
    last = result.err.splitlines()[-1]
    assert last.startswith(f"tui-lab: {mounted}")
    assert "No space left on device; make room, or choose another place with --lab DIR" in last
    (mounted / "fill").unlink()
    workbench.run("x.yaml", "--lab", str(mounted / "lab"))


@pytest.mark.slow
def test_another_file_with_the_same_name(workbench: Workbench) -> None:
    workbench.write("one/grid.yaml", GOOD)
    workbench.write("two/grid.yaml", GOOD.replace("2]", "3]"))
    workbench.write("two/Grid.yaml", GOOD)
    workbench.run("one/grid.yaml")
    said = workbench.run("two/grid.yaml", code=2).err
    assert '"grid" in ' in said
    assert "came from another file" in said
    assert "--replace" in said
    assert "differ only in case; SQL ignores case" in workbench.run("two/Grid.yaml", code=2).err
    assert "came from another file" in workbench("plan", "two/grid.yaml", code=2).err
    workbench.run("two/grid.yaml", "--replace")
    assert [row["a"] for row in workbench.table("SELECT a FROM grid ORDER BY a")] == [1, 3]
    assert "came from another file" in workbench.run("one/grid.yaml", code=2).err


def test_names_that_are_not_there_get_a_suggestion(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GOOD)
    workbench.run("grid.yaml")
    assert 'did you mean "grid"?' in workbench.inside("logs", "gird/0", code=2).err
    assert 'did you mean "grid"?' in workbench("status", "gird", code=2).err
    assert workbench.inside("logs", "7", code=2).err == "tui-lab: grid has no task 7; its tasks are 0 to 1\n"
    assert "grid has no task 9; its tasks are 0 to 1" in workbench.inside("show", "0-9", code=2).err
    assert "grid#1 is a submission, not a task; a task is `grid/3`" in workbench.inside("show", "grid#1", code=2).err
    assert workbench.inside("logs", "0:trian", code=2).err.startswith('tui-lab: grid has no step "trian"')
    assert "grid/0 has no attempt 3; it had 1" in workbench.inside("logs", "0.3", code=2).err
    assert 'unknown name "sate"' in workbench.inside("logs", "sate = 'done'", code=2).err
    assert workbench.inside("logs", "a > 100", code=2).err == "tui-lab: no task matches\n"
    assert "nothing is running" in workbench.inside("stop", code=0).err
    assert "none of these tasks failed" in workbench.inside("retry", code=0).err


# --- Terminals and pipes


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_mistake(workbench: Workbench) -> None:
    workbench.write("x.yaml", "command: echo {a}\nparameters: {a: {range: [0, 30000]}}\n")
    for words in (["schema"], ["plan", "x.yaml", "--all"], ["schema", "--reference"], ["--help"]):
        process = workbench.start(*words)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(20) == 0


@pytest.mark.slow
def test_outputs_that_are_closed_or_full(workbench: Workbench) -> None:
    code = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, '-m', 'tui_lab', 'schema'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    with open("/dev/full", "w") as full:
        process = workbench.start("schema", stdout=full)
        assert process.stderr is not None
        said = process.stderr.read()
        process.stderr.close()
    assert "Traceback" not in said
    assert "No space left on device" in said
    assert process.wait(20) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"COLUMNS": "40"},
        {"LC_ALL": "C"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_environments_without_colour_width_or_utf8(workbench: Workbench, env: dict[str, str]) -> None:
    workbench.write("grid.yaml", "command: 'echo {a}; test {a} = é'\nparameters: {a: [é, ü]}\n")
    result = workbench.run("grid.yaml", code=1, env=env)
    printed = result.err + workbench("status", env=env).out + workbench("show", "1", env=env).out
    assert "\x1b" not in printed
    assert "1 failed" in printed
    assert "--help" in workbench("plan", "--help", env=env).out


def test_every_command_has_help_with_an_example() -> None:
    for name in COMMANDS.own:
        with suppress(SystemExit), redirect_stdout(io.StringIO()) as printed:
            main([name, "--help"])
        said = printed.getvalue()
        assert f"usage: tui-lab {name}" in said
        assert "example" in said, name
        assert f"  tui-lab {name}" in said, name
        assert "--lab DIR" in said or name in ("schema",), name


@pytest.mark.slow
def test_the_lab_may_be_named_before_or_after_the_command(workbench: Workbench) -> None:
    workbench.write("x.yaml", GOOD)
    workbench("--lab", "other", "--run", "x.yaml")
    assert not workbench.lab_path.exists()
    for words in (
        ["--lab", "other", "status"],
        ["status", "--lab", "other"],
        ["--lab=other", "status"],
        ["status", "--lab=other"],
    ):
        assert "x" in workbench(*words).out
    assert "x" in workbench("status", env={"TUI_LAB_DIR": "other"}).out
    assert os.fspath(workbench.folder / "other") in workbench("show", "0", "--lab", "other").out


def test_a_package_that_is_missing_is_named(workbench: Workbench) -> None:
    broken = workbench.folder / "broken"
    broken.mkdir()
    (broken / "polars.py").write_text("raise ModuleNotFoundError(\"No module named 'polars'\", name='polars')\n")
    workbench.write("x.yaml", GOOD)
    for words in (["plan", "x.yaml"], ["--run", "x.yaml"]):
        said = workbench.process(*words, code=3, env={"PYTHONPATH": str(broken)})
        assert said.err == "tui-lab: the package polars is not installed; install tui-lab again with pip\n"


def test_a_place_where_no_socket_can_be_made_is_named(workbench: Workbench) -> None:
    workbench.write("x.yaml", GOOD)
    Lab.create(workbench.lab_path)
    with TemporaryDirectory(prefix="tui-lab-test-") as runtime:  # short: an address holds 107 bytes
        socket = Path(runtime) / "tui-lab" / f"{Lab.open(workbench.lab_path).identity}.sock"
        socket.parent.mkdir(mode=0o700)
        socket.mkdir()
        said = workbench.process("--run", "x.yaml", code=3, env={"XDG_RUNTIME_DIR": runtime}).err
        assert f"tui-lab: {socket}: " in said and "the engine's socket goes there" in said
