"""Metrics by Python functions, and by commands that several metrics share."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest

from tests.workbench import Workbench
from tui_lab.experiment.load import load
from tui_lab.results.extraction import function_calls
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
    functions = {"slow": "hangs", "good": "number"}
    lines = [f"  {name}: {{function: 'parsers.py::{function}'}}\n" for name, function in functions.items()]
    file.write_text(file.read_text() + "metrics:\n" + "".join(lines))
    with mock.patch.object(function_calls, "TIMEOUT", 0.5):
        results = refresh(workbench.experiment(), spec=load(file))
    assert "parsers.py::hangs: the function took longer than 0 s" in results.troubles["slow"]
    assert results.matched == {"slow": 0, "good": 6}
    kept = [path.read_text().splitlines() for path in (workbench.lab_path / "e").glob("results.function.*")]
    assert min(map(len, kept)) < 6


@pytest.mark.parametrize(
    ("metric", "wrong"),
    [
        ("{function: 'parsers.py'}", '"parsers.py" names no function; write FILE.py::NAME'),
        ("{function: 'parsers::x'}", '"parsers" is no Python file'),
        ("{function: 'p.py::x', take: all}", '"take: all" is for patterns and files'),
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
    assert workbench.table("SELECT bleu, best, words FROM e ORDER BY x") == [
        {"bleu": 11.0, "best": 11.5, "words": 6},
        {"bleu": 12.0, "best": 12.5, "words": 6},
    ]
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
