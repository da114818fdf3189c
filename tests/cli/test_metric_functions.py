"""Metrics by Python functions, and by commands that several metrics share."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.workbench import Workbench
from tui_lab.experiment.load import load
from tui_lab.results.tables import refresh

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
PARSERS = """
import json, os, time

def found(folder):
    x = json.loads(os.environ["TUI_LAB_PARAMS"])["x"]
    with open(os.environ["TRUTH"], "a") as file:
        file.write("call\\n")
    print("what a function prints is in nobody's way")
    if x == 2:
        raise ValueError("two\\nlines")
    if x == 3:
        os._exit(7)
    return {"bleu": 10.5 + x, "inner": {"low": x}, "text": open(f"{folder}/stdout").read(), "odd": {1, 2}}

def rows(folder):
    for place in range(3):
        yield {"loss": 2 * place}

def number(folder):
    return 7

def hangs(folder):
    time.sleep(60)

def history(folder):
    x = json.loads(os.environ["TUI_LAB_PARAMS"])["x"]
    with open(os.environ["TRUTH"], "a") as file:
        file.write("history\\n")
    if x == 3:
        raise ValueError("no history")
    return {"step": [10, 20, 30], "loss": [3 * x, 2 * x, x], "epochs": 3}

def words(folder):
    if folder.endswith("/1"):
        return
    for place, word in enumerate(open(f"{folder}/stdout").read().split()):
        yield {"step": place + 1, "word": word, "length": len(word)}

def late(folder):
    time.sleep(1)
    return 8
"""
BY_STEP = """
command: 'echo hello {x}'
parameters: {x: [1, 2, 3]}
metrics:
  last: {function: 'parsers.py::history', value: loss}
  lowest: {function: 'parsers.py::history', value: loss, take: min, goal: min}
  length: {function: 'parsers.py::words', take: all}
  other: {function: 'parsers.py::history'}
  function: 'parsers.py::history'
  cut: {function: 'parsers.py::late', timeout: 400ms}
  printed: {run: 'sleep 1; echo 5', pattern: '(@int@)', timeout: 300ms}
rows: {function: 'parsers.py::words'}
"""
TEXT = """
command: 'echo hello {x}'
parameters: {x: [1, 2, 3]}
metrics:
  bleu: {function: 'parsers.py::found'}
  low: {function: 'parsers.py::found', value: inner.low, goal: min}
  text: {function: 'parsers.py::found'}
  odd: {function: 'parsers.py::found'}
  loss: {function: 'parsers.py::rows', take: sum}
  count: {function: 'parsers.py::rows', take: count, value: loss}
  number: {function: 'parsers.py::number'}
  missing: {function: 'parsers.py::nothing'}
  a: {run: 'echo run >>$TRUTH; cat {folder}/stdout', pattern: '(@int@)'}
  b: {run: 'echo run >>$TRUTH; cat {folder}/stdout', pattern: '(hel)lo'}
"""


def test_functions_are_called_once_for_all_their_metrics(workbench: Workbench) -> None:
    workbench.write("parsers.py", PARSERS)
    end = workbench.run_text(TEXT).err + workbench("parse", "e").out
    rows = workbench.table("SELECT bleu, low, text, odd, loss, count, number, missing, a, b FROM e ORDER BY x")
    rest = {"odd": None, "loss": 6, "count": 3, "number": 7, "missing": None, "b": "hel"}
    nothing = {"bleu": None, "low": None, "text": None}
    assert rows == [
        {"bleu": 11.5, "low": 1, "text": "hello 1\n", **rest, "a": 1},
        *({**nothing, **rest, "a": x} for x in (2, 3)),
    ]
    assert Counter(workbench.lines()) == {"call": 3, "run": 3}
    for words in (
        "bleu: in 1 of 3 done tasks; task 1: parsers.py::found: ValueError: two lines (parsers.py:10)",
        '"odd": no value in any of 3 finished tasks; task 0: parsers.py::found: what it returned can\'t be kept: set',
        '"missing": no value in any of 3 finished tasks; task 0: parsers.py::nothing: there is no function nothing',
    ):
        assert words in end, end

    # Another metric of a function calls nothing; another text of its file calls it for all tasks.
    experiment = workbench.folder / "experiment.yaml"
    experiment.write_text(experiment.read_text() + "  more: {function: 'parsers.py::found', value: bleu}\n")
    workbench.run(experiment)
    assert workbench.table("SELECT more FROM e WHERE x = 1") == [{"more": 11.5}]
    assert Counter(workbench.lines()) == {"call": 3, "run": 3}
    workbench.write("parsers.py", PARSERS.replace("10.5", "20.5"))
    assert workbench.table("SELECT bleu FROM e WHERE x = 1") == [{"bleu": 21.5}]
    assert Counter(workbench.lines()) == {"call": 6, "run": 3}
    assert len(list((workbench.lab_path / "e").glob("results.function.*"))) == 4


def test_a_function_that_hangs_is_given_up(workbench: Workbench) -> None:
    workbench.write("parsers.py", PARSERS)
    workbench.run_text("command: 'true'\nrepeat: 6\n")
    file = workbench.folder / "experiment.yaml"
    functions = {"slow": "hangs', timeout: 500ms", "good": "number'"}
    lines = [f"  {name}: {{function: 'parsers.py::{function}}}\n" for name, function in functions.items()]
    file.write_text(file.read_text() + "metrics:\n" + "".join(lines))
    results = refresh(workbench.experiment(), spec=load(file))
    assert "parsers.py::hangs: the function took longer than 0.5 s" in results.troubles["slow"]
    assert results.matched == {"slow": 0, "good": 6}
    kept = [path.read_text().splitlines() for path in (workbench.lab_path / "e").glob("results.function.*")]
    assert min(map(len, kept)) < 6


def test_values_by_step_rows_and_a_time_limit(workbench: Workbench) -> None:
    workbench.write("parsers.py", PARSERS)
    workbench.write("broken.py", "def f(folder:\n")
    text = BY_STEP.replace("rows:", "  broken: {function: 'broken.py::f'}\n  gone: {function: 'gone.py::f'}\nrows:")
    end = workbench.run_text(text).err
    rows = workbench.table("SELECT last, lowest, length, epochs, loss, cut, printed FROM e ORDER BY x")
    nothing = {"cut": None, "printed": None}
    assert rows == [
        {"last": 1, "lowest": 1, "length": 1, "epochs": 3, "loss": 1, **nothing},
        {"last": 2, "lowest": 2, "length": None, "epochs": 3, "loss": 2, **nothing},
        {"last": None, "lowest": None, "length": 1, "epochs": None, "loss": None, **nothing},
    ]
    steps = workbench.table("SELECT x, step, last, loss, length FROM e_steps ORDER BY x, step")
    assert steps == [
        {"x": 1, "step": 1, "last": None, "loss": None, "length": 5},
        {"x": 1, "step": 2, "last": None, "loss": None, "length": 1},
        *({"x": 1, "step": 10 * n, "last": 4 - n, "loss": 4 - n, "length": None} for n in (1, 2, 3)),
        *({"x": 2, "step": 10 * n, "last": 8 - 2 * n, "loss": 8 - 2 * n, "length": None} for n in (1, 2, 3)),
        {"x": 3, "step": 1, "last": None, "loss": None, "length": 5},
        {"x": 3, "step": 2, "last": None, "loss": None, "length": 1},
    ]
    found = workbench.table("SELECT x, word, length, row FROM e_rows ORDER BY x, row")
    wanted = [(1, "hello", 0), (1, "1", 1), (3, "hello", 0), (3, "3", 1)]
    assert [(one["x"], one["word"], one["row"]) for one in found] == wanted
    assert Counter(workbench.lines()) == {"history": 3}, "once for metrics, steps and rows"
    for words in (
        "last: in 2 of 3 done tasks; task 2: parsers.py::history: ValueError: no history (parsers.py:30)",
        "parsers.py::late: the function took longer than 0.4 s",
        "task 0: the command took longer than 0.3 s",
        "length: in 2 of 3 done tasks; task 1: parsers.py::words: it returned nothing",
        'parsers.py::history: it returned no "other", but epochs, step, loss',
        "broken.py::f: SyntaxError: '(' was never closed (broken.py:1)",
        f"gone.py::f: FileNotFoundError: No such file or directory: {workbench.folder}/gone.py\n",
    ):
        assert words in end, end

    # More time: what took too long is called again, and nothing else.
    experiment = workbench.folder / "experiment.yaml"
    experiment.write_text(experiment.read_text().replace("400ms", "1m").replace("300ms", "30"))
    workbench.run(experiment)
    assert workbench.table("SELECT DISTINCT cut, printed FROM e") == [{"cut": 8, "printed": 5}]
    assert Counter(workbench.lines()) == {"history": 3}

    # In a lab from elsewhere, nothing is called for rows and steps either. What came with it is shown, also without the
    # functions' files.
    copy = workbench.folder / "copy"
    workbench.table("FROM e_steps"), workbench.table("FROM e_rows")
    shutil.copytree(workbench.lab_path, copy, symlinks=True)
    (workbench.folder / "parsers.py").rename(workbench.folder / "elsewhere.py")
    for query, lines in (
        ("SELECT last FROM e ORDER BY x", "last\n1\n2\n\n"),
        ("SELECT count(*) AS n FROM e_steps", "n\n10\n"),
    ):
        printed = workbench("query", query, "--lab", copy)
        assert (printed.out, "not executed" in printed.err) == (lines, False), printed.err
    assert workbench("query", "SELECT count(*) AS n FROM e_rows", "--lab", copy).out == "n\n4\n"
    for file in (copy / "e").glob("results.*"):
        file.unlink()
    for table in ("e_steps", "e_rows"):
        printed = workbench("query", f"FROM {table}", "--lab", copy)
        assert "not executed" in printed.err and "hello" not in printed.out
    assert Counter(workbench.lines()) == {"history": 3}


@pytest.mark.parametrize(
    ("metric", "wrong"),
    [
        ("{function: 'parsers.py'}", '"parsers.py" names no function; write FILE.py::NAME'),
        ("{function: 'parsers::x'}", '"parsers" is no Python file'),
        ("{function: 'p.py::x', timeout: soon}", '"soon" is no time'),
        ("{json: a.json, path: $.a, timeout: 5}", '"timeout" goes with "run", not with "json"'),
        ("{function: 'p.py::x', path: a}", '"path" goes with "json", not with "function"'),
        ("{run: 'cat {folders}', pattern: '(@int@)'}", "{folder}"),
    ],
)
def test_what_is_wrong_is_reported_at_its_place(workbench: Workbench, metric: str, wrong: str) -> None:
    file = workbench.write("e.yaml", f"command: 'true'\nmetrics:\n  a: {metric}\n")
    printed = workbench("check", file, code=2)
    assert re.search(r"e\.yaml:3:\d+: ", printed.out + printed.err)
    assert wrong in printed.out + printed.err


def test_the_examples_of_the_page(workbench: Workbench) -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Python functions")[1].split("\n## ")[0]
    parsers, adapted = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    named, short = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    workbench.write("parsers.py", parsers)
    workbench.run_text(named)
    assert workbench.table("SELECT bleu, best, words, loss FROM e ORDER BY x") == [
        {"bleu": 11.0, "best": 11.5, "words": 6, "loss": 0.25},
        {"bleu": 12.0, "best": 12.5, "words": 6, "loss": 0.25},
    ]
    steps = [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]
    assert workbench.table("SELECT step, loss FROM e_steps WHERE x = 1") == steps
    assert workbench.table("SELECT words FROM e_rows WHERE x = 1") == [{"words": 3}] * 2
    workbench.run(workbench.write("short.yaml", short))
    (workbench.lab_path / "short" / "results.functions.json").unlink()
    assert workbench("logs", 'short/"best.bleu" > 12').out == "BLEU = 12.5\nBLEU = 12.0\n"  # names come by reading
    assert workbench.table('SELECT bleu, "best.bleu", "best.epoch", words FROM short ORDER BY x') == [
        {"bleu": 11.0, "best.bleu": 11.5, "best.epoch": 0, "words": 3},
        {"bleu": 12.0, "best.bleu": 12.5, "best.epoch": 0, "words": 3},
    ]
    workbench.write("parsers.py", parsers.replace('{"bleu": scores[-1]', '{"other": 1, "bleu": scores[-1]'))
    assert workbench.table("SELECT other FROM short WHERE x = 1") == [{"other": 1}]

    workbench.write("adapted.py", adapted)
    text = "command: {test: 'echo BLEU 1{x}'}\nparameters: {x: [1]}\nmetrics: {function: 'adapted.py::bleu'}\n"
    workbench.run(workbench.write("adapted.yaml", text))
    assert workbench.table("SELECT bleu FROM adapted") == [{"bleu": 12.0}]

    # In a lab from elsewhere, what is new is not called.
    copy = workbench.folder / "copy"
    shutil.copytree(workbench.lab_path, copy, symlinks=True)
    for file in (copy / "short").glob("results.*"):
        file.unlink()
    printed = workbench("query", "SELECT * FROM short", "--lab", copy)
    assert "function parsers.py::bleu" in printed.err
    assert "not executed" in printed.err
    assert "best" not in printed.out
