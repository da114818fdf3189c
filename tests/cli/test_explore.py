"""`explore`, and the whole of patas' README, command by command."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workbench import REPOSITORY, Workbench
from tui_lab.cli.exploring import arithmetic, geometric, scalar
from tui_lab.cli.main import main
from tui_lab.cli.patas_files import read_cluster, read_nodes, task_condition
from tui_lab.client.errors import UsageError

MAIN = REPOSITORY / "examples" / "basic_usage" / "main.py"
PATTERNS = {
    "train_time": r"Time to train \(ms\): (@float@)",
    "test_time": r"Time to test \(ms\): (@float@)",
    "train_acc": "Train accuracy: (@float@)",
    "test_acc": "Test accuracy: (@float@)",
    "loss": "Final Loss: (@float@)",
}


@pytest.mark.slow
def test_the_readme_of_patas(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With fewer values and repeats; $TUI_LAB_DIR says that the lab is called pataslab."""
    workbench.environment["TUI_LAB_DIR"] = "pataslab"
    monkeypatch.chdir(workbench.folder)
    for name, value in (("COLUMNS", "100"), ("LINES", "30"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)

    def draw(*words: str) -> str:
        assert main(["draw", *words]) == 0
        return capfd.readouterr().out

    shutil.copy(MAIN, workbench.folder / "main.py")
    workbench(
        *("explore", "--type", "grid", "--cmd", "./main.py {neurons} {activation} {preprocessing}"),
        *("--va", "neurons", "1", "51", "24", "--vl", "preprocessing", "fast", "medium", "intense"),
        *(
            "--vl",
            "activation",
            "relu",
            "leaky_relu",
            "sigmoid",
            "tanh",
            "--node",
            "localhost",
            "--repeat",
            "2",
        ),
    )
    patterns = [word for name, regex in PATTERNS.items() for word in ("-p", name, regex)]
    workbench("parse", "-e", "pataslab/grid/", *patterns)
    head, *lines = (workbench.folder / "pataslab/grid/grid.csv").read_text().splitlines()
    assert head.startswith("in_preprocessing,in_activation,in_neurons,out_train_time,") and len(lines) == 72
    assert len(workbench("query", "select * from grid limit 2", "-m").lines) == 4
    means = workbench(
        "query",
        """
        SELECT in_activation,
               in_neurons,
               AVG(out_train_acc) AS avg_train_acc,
               AVG(out_test_acc) AS avg_test_acc
        FROM grid GROUP BY in_activation, in_neurons""",
        "-m",
    ).lines
    assert means[0] == "| in_activation | in_neurons | avg_train_acc | avg_test_acc |" and len(means) == 2 + 12
    best = workbench(
        "query",
        """
        WITH avg_result AS (
            SELECT in_activation, in_neurons, AVG(out_train_acc) AS train_acc, AVG(out_test_acc) AS test_acc
            FROM grid
            GROUP BY in_activation, in_neurons
        )
        SELECT * FROM avg_result AS t
        WHERE t.test_acc=(SELECT MAX(test_acc) FROM avg_result)""",
        "-m",
    ).lines
    assert len(best) == 3 and best[2].count("0.") == 2
    first = "--input pataslab/grid/grid.csv --x-column in_neurons --y-column in_activation --z-column out_test_acc"
    assert "leaky_relu" in draw("heatmap", *first.split(), "--fig-size", "15", "3")
    draw(
        *("heatmap", *first.split(), "--output", "heatmap.png", "--title", "Average test accuracy"),
        *("--x-label", "Number of Neurons", "--x-change", "X[i]", "--y-label", "Activation function"),
        *(
            "--y-change",
            "Y[i][:3]",
            "--z-label",
            "Accuracy",
            "--z-change",
            "int(Z[i]*100)",
            "--fig-size",
            "15",
            "3",
        ),
        *("--annot", "--aggfunc", "mean", "--fmt", ".0f", "--z-range", "0", "100"),
    )
    assert (workbench.folder / "heatmap.png").read_bytes().startswith(b"\x89PNG")
    bars = draw(
        *("categories", "--input", "pataslab/grid/grid.csv", "--x-column", "in_activation"),
        *("--hue-column", "in_preprocessing", "--y-column", "out_test_acc", "--fig-size", "10", "4"),
        *(
            "--x-label",
            "Activation function",
            "--y-label",
            "Test Accuracy",
            "--legend-label",
            "Preprocessing",
        ),
        *("--errorbar", "sd", "--title", "Test performance by activation function and preprocessing"),
    )
    assert "Preprocessing:  █ fast  ▓ medium  ▒ intense" in bars and "standard deviation" in bars
    for style in ("bars", "band"):
        drawn = draw(
            *("lines", "--input", "pataslab/grid/grid.csv", "--fig-size", "10", "4"),
            *("--x-column", "in_neurons", "--x-label", "Neurons", "--y-column", "out_test_acc"),
            *("--y-label", "Accuracy", "--hue-column", "in_activation", "--title", "Average test accuracy"),
            *("--legend-label", "Act. Function", "--err-style", style, "--errorbar", "sd"),
        )
        assert "Act. Function:  ● relu" in drawn and f"{style}: standard deviation" in drawn
    # A larger sweep keeps its metrics, and runs only what is new.
    grown = workbench(
        *(
            "explore",
            "--cmd",
            "./main.py {neurons} {activation} {preprocessing}",
            "--va",
            "neurons",
            "1",
            "51",
            "24",
        ),
        *("--vl", "preprocessing", "fast", "medium", "intense", "--repeat", "2", "-y"),
        *("--vl", "activation", "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "--filter-tasks", ":72"),
    )
    assert "0 tasks to run" in grown.err
    assert workbench.environment["TUI_LAB_DIR"] and "test_acc" in (workbench.folder / "pataslab/grid.yaml").read_text()


@pytest.mark.slow
def test_paths_as_users_of_patas_type_them(workbench: Workbench) -> None:
    told = workbench("explore", "--cmd", "echo loss {x}", "--vl", "x", "1", "2", "--repeat", "2", "-y").err
    assert "next: tui-lab parse grid -p loss 'Loss: (@float@)'" in told
    pattern = ("-p", "loss", "loss (@float@)")
    for path in (
        "pataslab/grid/",
        "pataslab/grid",
        "./pataslab/grid",
        "lab/grid/",
        "./lab/grid",
        str(workbench.lab_path / "grid"),
    ):
        told = workbench.inside("parse", "-e", path, *pattern).err
        assert "loss: in 4 of 4" in told and "names its columns: lab/grid/grid.csv" in told
        assert ("there is no pataslab/grid; this is lab/grid" in told) is ("pataslab" in path)
    assert workbench.inside("draw", "lines", "--input", "pataslab/grid/grid.csv").out.startswith("loss")
    for path, said in (
        ("lab", "lab: is a lab, not an experiment; write -e lab/grid"),
        ("pataslab", "there is no experiment here; write -e lab/grid"),
        ("elsewhere/grid", "there is no experiment here; write -e lab/grid"),
        ("lab/grit", 'did you mean "grid"?'),
    ):
        assert said in workbench("parse", "-e", path, *pattern, code=2).err
    assert 'write "grid"' in workbench("stats", "lab/grid/", code=2).err
    (workbench.folder / "pataslab" / "grid").mkdir(parents=True)
    (workbench.folder / "pataslab" / "grid" / "info.yml").touch()
    told = workbench("parse", "-e", "pataslab/grid", *pattern, code=2).err
    assert "this folder is from patas" in told and "write -e lab/grid" in told, "an older tree is not taken for ours"


@pytest.mark.slow
def test_columns_as_patas_names_them(workbench: Workbench) -> None:
    workbench("explore", "--cmd", "echo loss {x}; echo loss 7", "--vl", "x", "1", "2", "--repeat", "2", "-q")
    workbench.inside("parse", "-e", "lab/grid", "-p", "loss", "loss (@float@)")
    facts = "break_id,task_id,repeat_id,combination_id,experiment_name,tries,max_tries,duration,started_at,ended_at"
    table = (workbench.lab_path / "grid" / "grid.csv").read_text().splitlines()
    assert table[0] == f"in_x,out_loss,{facts},node_name,output_dir"
    numbers = [",".join(line.split(",")[:8]) for line in table[1:]]
    assert numbers == [
        "1,7.0,0,0,0,0,grid,1",
        "1,7.0,0,1,1,0,grid,1",
        "2,7.0,0,2,0,1,grid,1",
        "2,7.0,0,3,1,1,grid,1",
    ]
    assert [row["break_id"] for row in workbench.table("SELECT break_id FROM grid")] == [0, 0, 0, 0]
    ask = "SELECT in_x, out_loss, repeat_id, combination_id, experiment_name, tries, max_tries, node_name, output_dir"
    row = workbench.table(f"{ask} FROM grid WHERE task_id = 3")[0]
    assert list(row.values()) == [2, 7.0, 1, 1, "grid", 1, 3, "localhost", str(workbench.lab_path / "grid/tasks/0/3")]
    assert "combination_id" in workbench.inside("draw", "categories", "--x-column", "combination_id").out
    for name, said in (
        ("experiment_id", "write experiment_name"),
        ("cluster_name", "write node"),
        ("node_in_lab", "write node"),
        ("worker_in_node", "slots are kept in no table"),
        ("work_dir", "output_dir is a task's folder"),
    ):
        assert said in workbench.inside("query", f"SELECT {name} FROM grid", code=2).err
    workbench.inside("parse", "-e", "lab/grid", "-p", "loss", "loss (@float@)", "-n", "^loss")
    rows = workbench.table("SELECT task_id, break_id, loss FROM grid_rows WHERE combination_id = 1 ORDER BY ALL")
    assert [tuple(row.values()) for row in rows] == [(2, 0, 2.0), (2, 1, 7.0), (3, 0, 2.0), (3, 1, 7.0)]
    assert "in EXPERIMENT_rows, where it is row" in workbench.inside("query", "SELECT break_id FROM grid", code=2).err
    table = (workbench.lab_path / "grid" / "grid.csv").read_text().splitlines()
    assert table[0].startswith(f"in_x,out_loss,{facts}") and table[8].startswith("2,7.0,1,3,1,1,grid,1,3,")


def test_values_of_any_kind_arrive(workbench: Workbench) -> None:
    workbench(
        *(
            "explore",
            "--name",
            "any",
            "-q",
            "-o",
            "here",
            "--cmd",
            "echo {x} {y} $PATAS_VAR_x $PATAS_ATTEMPT",
            "--patas-env",
        ),
        *(
            "--cmd",
            "echo second {y}",
            "--vl",
            "x",
            "-1",
            "-1e-3",
            "0.10",
            "true",
            "a b",
            "--vg",
            "y",
            "1",
            "4",
            "2",
        ),
    )
    outputs = [workbench.folder / f"here/any/tasks/0/{task}/stdout" for task in range(10)]
    texts = [path.read_text().splitlines() for path in outputs]
    assert [text[0] for text in texts[::2]] == [
        "-1.0 1 -1.0 1", "-0.001 1 -0.001 1", "0.1 1 0.1 1", "true 1 true 1", "a b 1 a b 1"
    ]  # fmt: skip
    assert texts[1] == ["-1.0 2 -1.0 1", "second 2"]
    again = workbench("--run", "here/any.yaml", "--lab", "here")
    assert "0 tasks to run" in again.err, "the file is one that can be kept"


@pytest.mark.slow
def test_files_of_patas(workbench: Workbench) -> None:
    workbench.write(
        "sweep.yaml",
        """
name: mysweep
type: grid
cmd: ["echo {a} {b}", "test {a} != bad"]
repeat: 2
max_tries: 2
vars:
  - {name: a, type: list, values: [x, "y z"]}
  - {name: b, type: arithmetic, min: 0, max: 1, step: 0.5}
""",
    )
    workbench.write(
        "here.yaml",
        "name: c\nnodes:\n  - {name: n1, hostname: localhost, workers: 2, tags: [x]}\n"
        "  - {name: n2, hostname: 192.0.2.1, port: 2222, user: u, private_key: id, workers: 2, tags: [y]}\n",
    )
    options = ("explore", "--experiment", "sweep.yaml", "--cluster", "here.yaml")
    assert read_cluster(workbench.folder / "here.yaml")[1] == {
        "name": "n2",
        "slots": 2,
        "tags": ["y"],
        "host": "192.0.2.1",
        "port": 2222,
        "user": "u",
        "key": str(workbench.folder / "id"),
    }
    workbench(*options, "--filter-nodes", "x", "--filter-tasks", "mysweep:2:4", "7")
    counts = "SELECT task_id FROM mysweep ORDER BY 1"
    assert [row["task_id"] for row in workbench.table(counts)] == [2, 3, 7]
    workbench(*options, "--filter-nodes", "x")
    assert len(workbench.table(counts)) == 8
    workbench("explore", "--experiment", "lab/mysweep.yaml", "--redo")
    assert {row["version"] for row in workbench.table("SELECT version FROM mysweep")} == {2}


@pytest.mark.slow
def test_tries_are_attempts_in_all(workbench: Workbench) -> None:
    workbench("explore", "--cmd", "exit {x}", "--vl", "x", "0", "1", "--max-tries", "2", code=1)
    rows = workbench.table("SELECT x, attempts, state FROM grid_tasks ORDER BY x")
    assert [(row["x"], row["attempts"], row["state"]) for row in rows] == [(0, 1, "done"), (1, 2, "failed")]


@pytest.mark.slow
def test_an_edited_file_is_not_lost(workbench: Workbench) -> None:
    workbench("explore", "--cmd", "echo {x}", "--vl", "x", "1", "-q")
    file = workbench.lab_path / "grid.yaml"
    file.write_text(file.read_text() + "# mine\n")
    told = workbench("explore", "--cmd", "echo {x}", "--vl", "x", "2", code=2)
    assert "has been changed and not run" in told.err and "# mine" in file.read_text()
    workbench("--run", "lab/grid.yaml")
    workbench("explore", "--cmd", "echo {x}", "--vl", "x", "2")
    assert "# mine" not in file.read_text(), "the lab has it among its plans"


def test_mistakes(workbench: Workbench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(workbench.folder)
    for words, said in (
        (("--vl", "x", "1"), "--cmd is missing"),
        ((), "needs a --cmd"),
        (("--cmd", "echo {x}", "--vl", "x"), "a name and its values"),
        (("--cmd", "echo {x}", "--vl", "x", "1", "--va", "x", "1", "2", "1"), "x is given twice"),
        (("--cmd", "echo", "--repeat", "0"), "1 or more"),
        (("--cmd", "echo", "--filter-tasks", "a"), "expected A:B"),
        (("--cmd", "echo", "--node", "ana@tower:22", "0"), "at least one slot"),
        (("--cmd", "echo", "--node", "tower", "--node", "tower", "2"), "two nodes are called tower"),
        (("--cmd", "echo", "--name", "a/b"), "can't be a name"),
        (("--cmd", "echo 'a", "--vl", "x", "1"), "explore: "),
        (("--cmd", "echo", "--experiment", "nowhere.yaml"), "no such file"),
        (("--type", "cdeepso", "--cmd", "echo"), "invalid choice"),
    ):
        try:
            assert main(["explore", *words]) == 2
        except SystemExit as exit_:
            assert exit_.code == 2
        assert said in capfd.readouterr().err
    assert not workbench.lab_path.exists()


@pytest.mark.slow
def test_a_terminal_is_asked_before_a_start(workbench: Workbench) -> None:
    for answer, started in ((b"n\n", False), (b"y\n", True)):
        ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "tui_lab", "explore", "--cmd", "echo {x}", "--vl", "x", "1", "2"]
        process = subprocess.Popen(
            words,
            cwd=workbench.folder,
            env=workbench.environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.write(ours, answer)
        _, err = process.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert b"grid: 2 combinations" in err and b"Run? [Y/n]" in err
        assert (b"Nothing was started" in err) is not started
        assert (workbench.lab_path / "grid" / "journal.jsonl").exists() is started
        assert workbench.lab_path.exists() is started, "a no leaves nothing behind"


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
def test_what_was_refused_leaves_no_file(workbench: Workbench, earlier: bool) -> None:
    """It would pass for an edit of a person that was not run since."""
    file = workbench.lab_path / "grid.yaml"
    if earlier:
        workbench("explore", "--cmd", "echo {x}", "--vl", "x", "1", "-q")
    before = file.read_text() if earlier else None
    for words, said in (
        (("--cmd", "./nowhere {x}"), "nowhere"),
        (("--cmd", "echo {x} {y}", "--vl", "y", "1", "--filter-tasks", "other:1:2"), "no experiment of this name"),
        (("--cmd", "echo {x}", "--cluster", "none.yaml"), "none.yaml"),
        (("--cmd", "echo new {x}", "--name", "GRID") if earlier else ("--cmd", "./none {x}"), ""),
    ):
        assert said in workbench("explore", *words, "--vl", "x", "2", "-y", code=2).err
        assert (file.read_text() if file.exists() else None) == before
        assert list(workbench.folder.glob("lab/*.yaml")) == ([file] if earlier else [])
    workbench("explore", "--cmd", "echo {x}", "--vl", "x", "2", "-q")
    assert workbench.output(1 if earlier else 0, name="grid") == "2\n"


def test_a_refusal_keeps_the_file_that_a_person_edits_meanwhile(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workbench.folder)
    file = workbench.lab_path / "grid.yaml"

    def refuses(*_: object, **__: object) -> int:
        file.write_text(file.read_text() + "# mine\n")
        raise UsageError("no")

    monkeypatch.setattr("tui_lab.cli.commands.run.main", refuses)
    assert main(["explore", "--cmd", "echo {x}", "--vl", "x", "1", "-y"]) == 2
    assert "# mine" in file.read_text()


# --- Pieces


def test_progressions_are_exact_and_leave_max_out() -> None:
    assert geometric("x", "1", "17", "2") == ("x", [1, 2, 4, 8, 16])
    assert geometric("x", "1", "16", "2")[1] == [1, 2, 4, 8]
    assert geometric("x", "0.1", "1e-5", "0.1")[1] == [0.1, 0.01, 0.001, 0.0001]
    assert geometric("x", "1", "2", "1.1")[1][:4] == [1.0, 1.1, 1.21, 1.331]
    assert geometric("x", "-1", "-9", "3")[1] == [-1, -3]
    assert arithmetic("x", "0", "1", "0.1") == ("x", {"range": [0, 1, 0.1]})
    assert arithmetic("x", "3", "0", "-1") == ("x", {"range": [3, 0, -1]})
    wrong = ("1 8 1", "1 8 0.5", "8 1 2", "0 8 2", "1 0 0.5", "1 8 -2", "1 inf 2", "a 8 2", "-1 8 2")
    for words in wrong:
        low, high, factor = words.split()
        with pytest.raises(UsageError):
            geometric("x", low, high, factor)
    for low, high, step in (("1", "8", "0"), ("1", "8", "-1"), ("8", "8", "1"), ("1", "x", "1")):
        with pytest.raises(UsageError):
            arithmetic("x", low, high, step)


def test_values_are_typed_as_yaml_types_them() -> None:
    words = (
        "1",
        "1.0",
        "1e-3",
        "-5",
        "true",
        "null",
        "on",
        "010",
        "a, b",
        "[1]",
        "{a: 1}",
        "'q'",
        "",
        "#x",
        "a: b",
    )
    assert [scalar(word) for word in words] == [
        1, 1.0, 0.001, -5, True, None, "on", "010", "a, b", "[1]", "{a: 1}", "'q'", "", "#x", "a: b"
    ]  # fmt: skip


def test_filters_of_tasks() -> None:
    assert task_condition(["2:5"], "grid") == "(task_id >= 2 AND task_id < 5)"
    assert task_condition(["2:", ":5", "7", ":"], "g") == "(task_id >= 2) OR (task_id < 5) OR (task_id = 7) OR (true)"
    assert task_condition(["a:1:2"], "a") == "(task_id >= 1 AND task_id < 2)"
    assert task_condition(["a:1:2"], "b") is None


def test_nodes() -> None:
    given = [["localhost", "2", "a", "b"], ["127.0.0.1", "3", "a"], ["ana@tower:22", "3", "a"]]
    here, tower = read_nodes(given, [], ["a"]) or []
    assert here == {"name": "localhost", "slots": 5, "tags": ["a", "b"]}
    assert tower == {"name": "ana@tower-22", "slots": 3, "tags": ["a"], "host": "tower", "port": 22, "user": "ana"}
    assert read_nodes(given, [], ["a", "b"]) == [{"name": "localhost", "slots": 2, "tags": ["a", "b"]}]
    assert read_nodes([], [], []) is None
    with pytest.raises(UsageError, match="no node has all"):
        read_nodes(given, [], ["c"])
    with pytest.raises(UsageError, match="the number of workers"):
        read_nodes([["localhost"], ["localhost", "2"]], [], [])


def test_nodes_of_this_machine_keep_their_names(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "nodes:\n- {name: one, hostname: localhost, workers: 2}\n- {name: two, hostname: localhost, workers: 1}\n"
    )
    found = read_nodes([["localhost", "3", "a"], ["localhost", "1", "b"]], [str(file)], [])
    assert [(node["name"], node["slots"], node["tags"]) for node in found or ()] == [
        ("localhost", 4, ["a", "b"]),
        ("one", 2, []),
        ("two", 1, []),
    ]
    with pytest.raises(UsageError, match="localhost is given twice; give the number of workers of each"):
        read_nodes([["localhost"], ["localhost", "1"]], [], [])
    with pytest.raises(UsageError, match="two nodes are called far"):
        read_nodes([["far", "1"], ["far", "1"]], [], [])
