"""`draw` as a user types it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.workbench import Result, Workbench, until
from tui_lab.cli.main import main

TRAINER = """#!/bin/sh
echo "acc 0.$1$3"
echo "loss $(( 10 - $1 ))"
for step in 0 1 2; do echo "{\\"step\\": $step, \\"live\\": $(( $1 * step ))}" >> "$TUI_LAB_METRICS"; done
"""
GRID = """
name: grid
command: ./train.sh {n} {kind} {repeat}
parameters: {n: [1, 3, 5], kind: [relu, tänh]}
repeat: 3
metrics:
  acc: {pattern: 'acc (@float@)', goal: max}
  loss: {pattern: 'loss (@float@)', goal: min}
"""


Call = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With a lab in it."""
    workbench = Workbench(tmp_path_factory.mktemp("draw"))
    workbench.write("train.sh", TRAINER, executable=True)
    workbench.write("experiment.yaml", GRID)
    workbench.run("experiment.yaml")
    yield workbench.folder
    workbench.close()


@pytest.fixture
def draw(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`tui-lab draw WORDS...` in this process."""

    def call(*words: str, code: int = 0, **environment: str) -> Result:
        monkeypatch.chdir(folder)
        for name, value in ({"COLUMNS": "80", "LINES": "24"} | environment).items():
            monkeypatch.setenv(name, value)
        for name in ("NO_COLOR", "FORCE_COLOR"):
            if name not in environment:
                monkeypatch.delenv(name, raising=False)
        try:
            status = main(["draw", *words])
        except SystemExit as exit_:
            status = int(str(exit_.code))
        out, err = capfd.readouterr()
        assert status == code, out + err
        return Result(status, out, err)

    return call


def test_charts_of_an_experiment(draw: Call) -> None:
    lines = draw("lines")
    assert "kind:  ● relu  ■ tänh" in lines.out
    assert len(lines.lines) < 24 and max(map(cell_len, lines.lines)) <= 80
    assert "\x1b" not in lines.out and "\x1b[" in draw("lines", FORCE_COLOR="1").out
    assert "\x1b" not in draw("lines", FORCE_COLOR="1", NO_COLOR="1").out
    assert draw("lines", "--log", "y", "grid").lines == draw("lines", "grid", "--log", "y").lines, "words in any order"
    assert draw("lines", "grid", "--log", "x", "--log", "y").lines == draw("lines", "grid", "--log", "xy").lines
    narrow = draw("heatmap", "grid", "--ascii", COLUMNS="40", LINES="16")
    assert max(map(cell_len, narrow.lines)) <= 40 and narrow.out.replace("ä", "a").isascii()


@pytest.mark.parametrize(
    "value",
    [
        "n::DECIMAL(18,4)",
        "n::HUGEINT * 10::HUGEINT ** 20",
        "to_seconds(n)",
        "DATE '2024-01-01' + n::INTEGER",
        "n::UHUGEINT",
    ],
)
def test_every_type_of_sql_that_has_an_order_is_drawn(draw: Call, value: str) -> None:
    sql = f"SELECT n, {value} AS v FROM grid"
    for kind in (("scatter", "--x-column", "n", "--y-column", "v"), ("hist", "--x-column", "v")):
        assert draw(*kind, "--sql", sql).out.strip()


@pytest.mark.parametrize("value", ["uuid()", "[n, n]", "{'a': n}"])
def test_what_has_no_place_on_an_axis_is_said(draw: Call, value: str) -> None:
    said = draw("hist", "--x-column", "v", "--sql", f"SELECT {value} AS v FROM grid", code=2).err
    assert "v holds no numbers" in said and "Traceback" not in said


def test_learning_curves_and_fronts(draw: Call) -> None:
    curves = json.loads(draw("steps", "--table", "--format", "json", "--hue-column", "n").out)
    assert [(row["n"], row["step"], row["live"]) for row in curves] == [
        (str(n), step, n * step) for n in (1, 3, 5) for step in (0, 1, 2)
    ]
    front = list(csv.DictReader(io.StringIO(draw("pareto", "--table").out)))
    assert [(row["n"], row["front"]) for row in front] == [("5", "true")] * 2 + [(n, "false") for n in "1133"]
    words = ("pareto", "--table", "--x-column", "in_n", "--y-column", "acc", "--goal", "in_n=min,acc=max")
    assert {row["n"] for row in csv.DictReader(io.StringIO(draw(*words).out)) if row["front"] == "true"} == {
        "1",
        "3",
        "5",
    }


def test_the_same_data_as_a_table_a_text_and_a_picture(draw: Call, folder: Path) -> None:
    columns = ("--x-column", "in_n", "--y-column", "out_acc", "--errorbar", "sd")
    table = draw("lines", *columns, "--table").lines
    assert table[0] == "n,acc,low,high,n_n"
    assert table[1].startswith("1,0.11") and table[1].endswith(",6")
    draw("lines", *columns, "--table", "-o", "means.parquet")
    assert draw("lines", "--input", "means.parquet", "--table", "--y-column", "acc").lines[0].startswith("n,acc")
    draw("lines", *columns, "-o", "chart.txt")
    assert "acc" in (folder / "chart.txt").read_text()
    draw("lines", *columns, "-o", "chart.svg", "--fig-size", "4", "3", "--title", "Güte")
    assert (folder / "chart.svg").read_text().startswith("<?xml")


def test_a_page_for_a_browser(draw: Call, folder: Path) -> None:
    draw("lines", "-o", "chart.html", "--title", "5 < 6 & so on")
    text = (folder / "chart.html").read_text()
    assert text.startswith("<!doctype html>") and text.count("<svg") == 1 and "<?xml" not in text
    assert "<title>5 &lt; 6 &amp; so on</title>" in text
    assert "<th>acc</th>" in text and "<td>tänh</td>" in text
    assert 'src="' not in text and 'href="http' not in text, "it needs no other file"


@pytest.mark.slow
def test_a_chart_that_follows_a_run(workbench: Workbench) -> None:
    """Drawn again and again into a file while a task runs, and to its end."""
    workbench.write(
        "train.sh",
        """#!/bin/sh
echo '{"step": 0, "live": 4}' >> "$TUI_LAB_METRICS"
echo '{"step": 1, "live": 2}' >> "$TUI_LAB_METRICS"
echo 'no json' >> "$TUI_LAB_METRICS"
until [ -e go ]; do sleep 0.05; done
echo '{"step": 2, "live": 1}' >> "$TUI_LAB_METRICS"
""",
        executable=True,
    )
    workbench.write("grid.yaml", "command: ./train.sh\n")
    run = workbench.start("--run", "grid.yaml")
    until(lambda: (workbench.lab_path / "grid" / "tasks" / "0" / "0" / "metrics.jsonl").exists(), 60)
    chart = workbench.folder / "chart.csv"
    following = workbench.start("draw", "steps", "--follow", "--table", "-o", str(chart))
    until(lambda: chart.exists() and len(chart.read_text().splitlines()) == 3, 60)
    assert following.poll() is None, "the run is still going"
    workbench.write("go", "")
    out, err = following.communicate(timeout=100)
    assert (following.returncode, out) == (0, ""), err
    assert [line.split(",")[:2] for line in chart.read_text().splitlines()] == [
        ["step", "live"],
        ["0", "4.0"],
        ["1", "2.0"],
        ["2", "1.0"],
    ]
    run.communicate(timeout=100)
    again = workbench("draw", "steps", "--follow", "--table")
    assert len(again.lines) == 4, "a run that is over is drawn once"
    assert "1 line of live metrics is no JSON object and was left out" in workbench("draw", "steps").err
    assert "1 line of live metrics" in workbench("query", "FROM grid_steps").err
    assert "1 line of live metrics" in workbench("stats", "--metric", "live@last").err
    assert "--follow needs an experiment" in workbench("draw", "steps", "--follow", "--sql", "SELECT 1", code=2).err


def test_rows_of_a_query_or_a_file(draw: Call, folder: Path) -> None:
    sql = "SELECT n, kind, avg(acc) AS acc FROM grid GROUP BY ALL ORDER BY ALL"
    assert "● relu" in draw("lines", "--sql", sql).out
    (folder / "data.csv").write_text("day,cost\n2024-05-17,1.5\n2024-05-18,nan\n2024-05-19,2.5\n")
    drawn = draw("lines", "--input", "data.csv", "--x-column", "day")
    assert "05-18" in drawn.out and "note: 1 row left out: cost is NaN" in drawn.err
    changed = draw("scatter", "--sql", sql, "--x-column", "n", "--x-change=-X", "--table")
    assert changed.lines[1] == "-1,0.11"
    assert "-0.001" in draw("heatmap", "--z-range", "-1e-3", "1").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lines", "--x-column", "m"), 'there is no column "m"'),
        (("lines", "--sql", "SELECT * FROM grid WHERE false"), "nothing to draw"),
        (("lines", "--sql", "SELECT nn FROM grid"), 'no column "nn"'),
        (("lines", "--input", "nothing.csv"), "there is no such file"),
        (("lines", "grid", "--sql", "SELECT 1"), "draw takes one source"),
        (("lines", "-o", "a.xyz"), "names no kind of picture"),
        (("heatmap", "--fmt", "q"), "not a format of a number"),
        (("lines", "--y-change", "Y +"), "--y-change"),
        (("lines", "nogrid"), 'no experiment "nogrid"'),
        (("pie",), "invalid choice"),
    ],
)
def test_mistakes_are_told_with_status_2(draw: Call, words: tuple[str, ...], said: str) -> None:
    result = draw(*words, code=2)
    assert said in result.err
    assert result.out == ""
