"""What other packages bring by entry points: found by name, used everywhere, and not looked for without need."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import tui_lab
from tests.workbench import Workbench, until
from tui_lab.engine.transports import is_remote
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.domains.kinds import KINDS
from tui_lab.experiment.row_sources.kinds import KINDS as ROW_KINDS
from tui_lab.experiment.sources.kinds import KINDS as SOURCE_KINDS
from tui_lab.results.charts.registry import KINDS as CHART_KINDS
from tui_lab.results.charts.registry import OWN
from tui_lab.results.extraction.row_sources.kinds import READERS
from tui_lab.results.extraction.sources.kinds import EXTRACTORS

ROOT = Path(tui_lab.__file__).parents[1]


def install(folder: Path, points: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Install a package with these entry points, by group and name; returns the variables under which it is there."""
    found = folder / "packages" / "made_up-1.0.dist-info"
    found.mkdir(parents=True)
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
    lines = [
        line for group, members in points.items() for line in (f"[{group}]", *map(" = ".join, members.items()), "")
    ]
    (found / "entry_points.txt").write_text("\n".join(lines))
    return {"PYTHONPATH": f"{ROOT}:{found.parent}"}


# --- Domains

DOMAINS = {"tui_lab.domains": {"primes": "tests.made_up.domain:Primes", "broken": "no_such_module:Domain"}}


@pytest.mark.slow
def test_a_domain_of_another_package(workbench: Workbench) -> None:
    env = install(workbench.folder, DOMAINS)
    workbench.write("p.yaml", "command: echo v {p}\nparameters: {p: {primes: 4}, q: [1]}\nmetrics: {v: 'v (@int@)'}\n")
    assert "4 combinations" in workbench.process("plan", "p.yaml", env=env).out
    workbench.process("--run", "p.yaml", env=env)
    answer = workbench.process("query", "SELECT p, v FROM p ORDER BY p", "--format", "csv", env=env)
    assert answer.lines == ["p,v", "2,2", "3,3", "5,5", "7,7"]
    assert "2 done" in workbench.process("plan", "p.yaml", "p={primes: 2}", env=env).out
    drawn = workbench.process("draw", "lines", "p", "--table", env=env).lines
    assert [line.split(",")[:2] for line in drawn[1:]] == [["2", "2.0"], ["3", "3.0"], ["5", "5.0"], ["7", "7.0"]]
    schema = json.loads(workbench.process("schema", env=env).out)
    kinds = schema["$defs"]["domain"]["anyOf"][2]["properties"]
    assert kinds["primes"] == {"title": "primes", "description": "The first `n` prime numbers.", **kinds["primes"]}
    assert list(kinds) == [*KINDS.own, "primes"], "one that is broken is left out"

    workbench.write("p.yaml", "command: echo {p}\nparameters: {p: {primes: none}}\n")
    workbench.write("q.yaml", "command: echo {p}\nparameters: {p: {prime: 3}}\n")
    wrong = workbench.process("check", "p.yaml", "q.yaml", code=2, env=env)
    assert 'p.yaml:2:26: "primes" must be a whole number' in wrong.err + wrong.out
    assert 'did you mean "primes"?' in wrong.err + wrong.out


def test_a_domain_that_cannot_be_loaded_is_one_line(workbench: Workbench) -> None:
    env = install(workbench.folder, DOMAINS)
    workbench.write("p.yaml", "command: echo {p}\nparameters: {p: {broken: 4}}\n")
    wrong = workbench.process("check", "p.yaml", code=2, env=env)
    said = (
        '"broken" of the entry points tui_lab.domains (no_such_module:Domain) can\'t be loaded: '
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert [line for line in (wrong.err + wrong.out).splitlines() if "broken" in line] == [f"p.yaml:2:18: {said}"]


def test_values_of_another_package_that_no_file_could_have(workbench: Workbench) -> None:
    wrong = {
        "[10**5000, 1]": "gives a number with more than 1000 digits",
        "[[1, {'a': -(10**5000)}]]": "gives a number with more than 1000 digits",
        "[1, {2}]": "gives a value of type set",
        "[]": "has no value",
        "1 / 0": "can't be listed: ZeroDivisionError: division by zero",
    }
    env = install(workbench.folder, {"tui_lab.domains": {f"odd{n}": f"odd:Odd{n}" for n in range(len(wrong))}})
    code = ["from tests.made_up.domain import Primes"]
    expected = []
    for n, (values, said) in enumerate(wrong.items()):
        code += [f"class Odd{n}(Primes):", f"  kind = 'odd{n}'", "  def listing(self):", f"    return {values}"]
        workbench.write(f"p{n}.yaml", f"command: echo {{p}}\nparameters: {{p: {{odd{n}: 2}}}}\n")
        expected.append(f'p{n}.yaml:2:24: "odd{n}" {said}')
    workbench.write("packages/odd.py", "\n".join(code))
    assert told(workbench, env, "check", *(f"p{n}.yaml" for n in range(len(wrong)))) == expected
    for words in (["plan", "p0.yaml"], ["--run", "p0.yaml"], ["--run", "p4.yaml"]):
        assert told(workbench, env, *words) == [expected[int(words[-1][1])]]


def told(workbench: Workbench, env: Mapping[str, str], *words: str) -> list[str]:
    """What is wrong, a line each."""
    done = workbench.process(*words, code=2, env=env)
    return (done.out + done.err).splitlines()


def test_draws_of_another_package_that_no_file_could_have(workbench: Workbench) -> None:
    cases = [
        ("pl.Float64()", "bits * 1.0", ""),
        ("pl.Int64()", "bits % 7", ""),
        ("pl.Date()", "(bits % 7).astype('datetime64[D]')", "gives a value of type date"),
        ("pl.Object()", "np.array([{1}] * len(bits))", "gives a value of type set"),
        ("pl.Float64()", "bits[:3] * 1.0", "draws 3 numbers where 1,002 are needed"),
        ("pl.Float64()", "1 / 0", "can't be drawn: ZeroDivisionError: division by zero"),
        ("1 / 0", "bits", "can't be drawn: ZeroDivisionError: division by zero"),
    ]
    env = install(workbench.folder, {"tui_lab.domains": {f"odd{n}": f"odd:Odd{n}" for n in range(len(cases))}})
    code = ["import numpy as np, polars as pl", "from tests.made_up.domain import Primes"]
    expected = []
    for n, (dtype, numbers, said) in enumerate(cases):
        code += [f"class Odd{n}(Primes):", f"  kind = 'odd{n}'", "  drawn, listed, size = True, False, None"]
        code += ["  @property", "  def dtype(self):", f"    return {dtype}"]
        code += ["  def draw(self, bits):", f"    return {numbers}"]
        workbench.write(f"p{n}.yaml", f"command: echo {{p}}\nparameters: {{p: {{odd{n}: 2}}}}\nsample: {{n: 3}}\n")
        expected += [f'p{n}.yaml:2:24: "odd{n}" {said}'] if said else []
    workbench.write("packages/odd.py", "\n".join(code))
    assert told(workbench, env, "check", *(f"p{n}.yaml" for n in range(2, len(cases)))) == expected
    assert told(workbench, env, "plan", "p2.yaml") == expected[:1]
    for n in range(2):
        for command in ("check", "plan"):
            assert "3 tasks" in workbench.process(command, f"p{n}.yaml", env=env).out


def test_packages_are_not_looked_through_without_need(workbench: Workbench) -> None:
    file = workbench.write("p.yaml", "command: echo {p} {q}\nparameters: {p: {range: [0, 3]}, q: [a, 'f(1)']}\n")
    code = (
        "import sys; from pathlib import Path; from tui_lab.experiment.load import load\n"
        "from tui_lab.experiment.combinations import expand\n"
        "expand(load(Path(sys.argv[1])))\n"
        "from tui_lab.experiment.domains.kinds import KINDS\n"
        "assert '_plugins' not in vars(KINDS)"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)


@pytest.mark.parametrize("name", list(KINDS.own))
def test_a_kind_stands_in_the_module_of_its_name(name: str) -> None:
    assert KINDS[name].__module__ == f"tui_lab.experiment.domains.{name}"


# --- Metric sources

SOURCES = {
    "tui_lab.metric_sources": {
        "ini": "tests.made_up.metric_source:IniSource",
        "broken": "no_such_module:Source",
    },
    "tui_lab.metric_extractors": {"ini": "tests.made_up.metric_source:EXTRACTOR"},
}
INI = """\
command: "printf '[test]\\nacc = 0.%d\\nnote = good\\n' {p} > {output}/result.ini"
parameters: {p: [1, 2]}
metrics:
  acc: {ini: result.ini, option: test.acc, type: float, goal: max}
  note: {ini: result.ini, option: test.note}
  x: {ini: result.ini, option: a.x}
"""


@pytest.mark.slow
def test_a_metric_source_of_another_package(workbench: Workbench) -> None:
    env = install(workbench.folder, SOURCES)
    workbench.write("p.yaml", INI)
    workbench.process("check", "p.yaml", env=env)
    workbench.process("--run", "p.yaml", env=env)
    answer = workbench.process("query", "SELECT p, acc, note, x FROM p ORDER BY p", "--format", "csv", env=env)
    assert answer.lines == ["p,acc,note,x", "1,0.1,good,", "2,0.2,good,"]
    parsed = workbench.process("parse", "p", code=None, env=env)
    assert 'metric "x": no value in any of 2 finished tasks; there is no a.x in result.ini' in parsed.out + parsed.err

    schema = json.loads(workbench.process("schema", env=env).out)
    keys = schema["$defs"]["metric"]["anyOf"][1]["properties"]
    assert keys["option"]["description"] == "Section and key. Needed with `ini`."
    assert "| `ini` | `result.ini` |" in workbench.process("schema", "--reference", env=env).out

    messages: list[str] = []
    for text, message in (
        ("{ini: a.ini}", 'n0.yaml:2:15: metric "m" needs "option"'),
        ("{ini: a.ini, optin: b}", 'did you mean "option"?'),
        ("{inni: a.ini}", 'did you mean "ini"?'),
        ("{ini: a.ini, option: b, path: $}", '"path" goes with "json", not with "ini"'),
        ("{ini: a.ini, option: b, sql: '1'}", 'metric "m" has both "ini" and "sql"'),
    ):
        workbench.write(f"n{len(messages)}.yaml", f"command: echo\nmetrics: {{m: {text}}}\n")
        messages.append(message)
    said = told(workbench, env, "check", *(f"n{n}.yaml" for n in range(len(messages))))
    for n, message in enumerate(messages):
        assert any(line.startswith(f"n{n}.yaml:2:") and message in line for line in said), said


def test_a_metric_source_that_cannot_be_loaded_is_one_line(workbench: Workbench) -> None:
    env = install(workbench.folder, SOURCES)
    workbench.write("p.yaml", "command: echo\nmetrics: {m: {broken: 4}}\n")
    wrong = workbench.process("check", "p.yaml", code=2, env=env)
    said = (
        '"broken" of the entry points tui_lab.metric_sources (no_such_module:Source) can\'t be loaded: '
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert [line for line in (wrong.err + wrong.out).splitlines() if "broken" in line] == [f"p.yaml:2:15: {said}"]


@pytest.mark.slow
def test_a_metric_source_without_an_extractor_is_one_line(workbench: Workbench) -> None:
    env = install(workbench.folder, SOURCES)
    workbench.write("p.yaml", INI)
    workbench.process("--run", "p.yaml", env=env)
    points = workbench.folder / "packages" / "made_up-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("[tui_lab.metric_extractors]", "[others]"))
    wrong = workbench.process("query", "SELECT * FROM p", code=2, env=env)
    assert wrong.err.count("\n") == 1
    assert 'metrics with "ini" can\'t be read: no package has it in tui_lab.metric_extractors' in wrong.err


@pytest.mark.parametrize("name", list(SOURCE_KINDS.own))
def test_a_kind_of_metric_source_stands_in_the_modules_of_its_name(name: str) -> None:
    assert SOURCE_KINDS[name].__module__ == f"tui_lab.experiment.sources.{name}"
    assert type(EXTRACTORS[name]).__module__ == f"tui_lab.results.extraction.sources.{name}"
    assert list(EXTRACTORS.own) == list(SOURCE_KINDS.own)


# --- Sources of rows

ROWS = {
    "tui_lab.row_sources": {"sections": "tests.made_up.row_source:SectionRows", "broken": "no_such_module:Rows"},
    "tui_lab.row_readers": {"sections": "tests.made_up.row_source:SectionRowsReader"},
}
SECTIONS = """\
command: "printf '[epoch 1]\\nloss = 0.%d\\n[other]\\n[epoch 2]\\nloss = 0,2\\n' {p} > {output}/all.ini"
parameters: {p: [1, 3]}
rows: {sections: all.ini, prefix: epoch}
"""


@pytest.mark.slow
def test_a_source_of_rows_of_another_package(workbench: Workbench) -> None:
    env = install(workbench.folder, ROWS)
    workbench.write("p.yaml", SECTIONS)
    workbench.process("check", "p.yaml", env=env)
    workbench.process("--run", "p.yaml", env=env)
    query = "SELECT task_id, row, section, loss FROM p_rows ORDER BY ALL"
    answer = workbench.process("query", query, "--format", "csv", env=env)
    assert answer.lines[1:] == ["0,0,epoch 1,0.1", '0,1,epoch 2,"0,2"', "1,0,epoch 1,0.3", '1,1,epoch 2,"0,2"']
    workbench.write("p.yaml", SECTIONS.replace("prefix: epoch", "prefix: none"))
    parsed = workbench.process("parse", "p", code=None, env=env)
    assert "p_rows: no row in any of 2 finished tasks; there is no row in all.ini" in parsed.out + parsed.err

    schema = json.loads(workbench.process("schema", env=env).out)
    keys = schema["$defs"]["rows"]["properties"]
    assert keys["prefix"]["description"] == "Sections whose name begins with it."
    assert "| `sections` | `all.ini` |" in workbench.process("schema", "--reference", env=env).out

    messages: list[str] = []
    for text, message in (
        ("{sections: a.csv}", 'n0.yaml:2:18: "rows" needs an .ini file'),
        ("{sections: a.ini, prefx: b}", 'did you mean "prefix"?'),
        ("{secions: a.ini}", 'did you mean "sections"?'),
        ("{sections: a.ini, from: b}", '"from" goes with "pattern", not with "sections"'),
        ("{sections: a.ini, csv: b}", '"rows" has both "sections" and "csv"'),
        ("{broken: a}", '"broken" of the entry points tui_lab.row_sources (no_such_module:Rows) can\'t be loaded'),
    ):
        workbench.write(f"n{len(messages)}.yaml", f"command: echo\nrows: {text}\n")
        messages.append(message)
    said = told(workbench, env, "check", *(f"n{n}.yaml" for n in range(len(messages))))
    for n, message in enumerate(messages):
        assert any(line.startswith(f"n{n}.yaml:2:") and message in line for line in said), said


@pytest.mark.slow
def test_a_source_of_rows_without_a_reader_is_one_line(workbench: Workbench) -> None:
    env = install(workbench.folder, ROWS)
    workbench.write("p.yaml", SECTIONS)
    workbench.process("--run", "p.yaml", env=env)
    points = workbench.folder / "packages" / "made_up-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("[tui_lab.row_readers]", "[others]"))
    wrong = workbench.process("query", "SELECT * FROM p_rows", code=2, env=env)
    assert wrong.err.count("\n") == 1
    assert 'rows with "sections" can\'t be read: no package has it in tui_lab.row_readers' in wrong.err


@pytest.mark.parametrize("name", list(ROW_KINDS.own))
def test_a_kind_of_source_of_rows_stands_in_the_modules_of_its_name(name: str) -> None:
    assert ROW_KINDS[name].__module__ == f"tui_lab.experiment.row_sources.{name}"
    assert READERS[name].__module__ == f"tui_lab.results.extraction.row_sources.{name}"
    assert list(READERS.own) == list(ROW_KINDS.own)


# --- Subcommands

COMMANDS = {"tui_lab.commands": {"headcount": "tests.made_up.command:COMMAND", "broken": "no_such_module:COMMAND"}}


@pytest.mark.slow
def test_a_subcommand_of_another_package(workbench: Workbench) -> None:
    env = install(workbench.folder, COMMANDS)
    workbench.write("p.yaml", "command: echo {p}\nparameters: {p: [1, 2, 3]}\n")
    workbench.process("--run", "p.yaml")
    assert workbench.process("headcount", env=env).lines == ["p 3"]
    assert "usage: tui-lab headcount" in workbench.process("help", "headcount", env=env).out
    listed = workbench.process("--help", env=env).lines
    assert any(line.split() == ["headcount", *["how", "many", "tasks", "each", "experiment", "has"]] for line in listed)
    wrong = workbench.process("headcuont", code=2, env=env)
    assert 'did you mean "headcount"?' in wrong.err


def test_a_subcommand_that_cannot_be_loaded_is_one_line(workbench: Workbench) -> None:
    wrong = workbench.process("broken", code=3, env=install(workbench.folder, COMMANDS))
    assert wrong.err.count("\n") == 1 and '"broken" of the entry points tui_lab.commands' in wrong.err


# --- Transports

TRANSPORTS = {
    "tui_lab.node_keys": {"pretend": "tests.made_up.transport:Pretend"},
    "tui_lab.transports": {"pretend": "tests.made_up.transport:make"},
}


def test_a_key_of_a_transport_of_another_package(workbench: Workbench) -> None:
    env = install(workbench.folder, TRANSPORTS)
    workbench.write("c.yaml", "nodes:\n- {name: far, pretend: {folders: x}}\n")
    wrong = workbench.process("check", "c.yaml", code=2, env=env)
    assert "c.yaml:2:24: " in wrong.out + wrong.err and 'did you mean "folder"?' in wrong.out + wrong.err


def test_what_a_transport_of_another_package_is_to_know_tells_nodes_apart(workbench: Workbench, tmp_path: Path) -> None:
    env = install(workbench.folder, TRANSPORTS)
    for name in ("one", "two"):
        workbench.write(f"{name}.yaml", "command: sleep 600\n")
        workbench.write(
            f"c-{name}.yaml", f"nodes:\n- {{name: far, slots: 1, pretend: {{folder: {tmp_path / name}}}}}\n"
        )
    workbench.process("--run", "one.yaml", "--cluster", "c-one.yaml", "--detach", env=env)
    until(lambda: workbench.events("started", "one"))
    wrong = workbench.process("--run", "two.yaml", "--cluster", "c-two.yaml", "--detach", code=2, env=env)
    assert 'node "far" is another machine in a running experiment; give one of them another name' in wrong.err
    workbench.process("stop", env=env)


@pytest.mark.parametrize(
    ("entry", "remote"),
    [
        ({"name": "localhost", "slots": 2}, False),
        ({"name": "far", "host": "192.0.2.9"}, True),
        ({"name": "far", "transport": "pretend", "pretend": {"folder": "/a"}}, True),
    ],
)
def test_each_transport_but_the_local_one_leads_to_another_machine(entry: NodeEntry, remote: bool) -> None:
    assert is_remote(entry) is remote


def test_a_transport_that_is_gone_is_said_of_the_node(workbench: Workbench, tmp_path: Path) -> None:
    env = install(workbench.folder, TRANSPORTS)
    workbench.write("p.yaml", "command: echo\nparameters: {p: [1, 2]}\n")
    workbench.write("c.yaml", f"nodes:\n- {{name: far, slots: 2, pretend: {{folder: {tmp_path / 'far'}}}}}\n")
    points = workbench.folder / "packages" / "made_up-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("tests.made_up.transport:make", "no_such_module:make"))
    wrong = workbench.process("--run", "p.yaml", "--cluster", "c.yaml", code=3, env=env)
    assert '"pretend" of the entry points tui_lab.transports' in wrong.err


# --- Kinds of chart

CHARTS = {"tui_lab.chart_kinds": {"rugs": "tests.made_up.chart_kind:KIND", "broken": "tests.made_up:__doc__"}}


@pytest.mark.slow
def test_a_kind_of_chart_of_another_package(workbench: Workbench) -> None:
    env = install(workbench.folder, CHARTS)
    workbench.write("x.csv", "loss\n1\n2\n4\n")
    drawn = workbench.process("draw", "rugs", "--input", "x.csv", env=env)
    assert drawn.out.count("\n") > 5 and "loss" in drawn.out
    assert workbench.process("draw", "rugs", "--input", "x.csv", "--table", env=env).lines == [
        "loss",
        "1.0",
        "2.0",
        "4.0",
    ]
    workbench.process("draw", "rugs", "--input", "x.csv", "-o", "x.svg", env=env)
    assert "<svg" in (workbench.folder / "x.svg").read_text()
    wrong = workbench.process("draw", "rugs", "--input", "x.csv", "--hue-column", "loss", code=2, env=env)
    assert wrong.err == "tui-lab: draw: rugs has no hue column; it takes --x-column\n"
    wrong = workbench.process("draw", "broken", "--input", "x.csv", code=2, env=env)
    said = '"broken" of the entry points tui_lab.chart_kinds (tests.made_up:__doc__) is no ChartKind'
    assert wrong.err == f"tui-lab: draw: {said}\n"
    wrong = workbench.process("draw", "rug", "--input", "x.csv", code=2, env=env)
    assert "rugs" in wrong.err, "those of other packages are among what there is"


@pytest.mark.slow
def test_the_screen_offers_a_kind_of_chart_of_another_package(workbench: Workbench) -> None:
    code = (
        "from tui_lab.results.charts.model import Request\n"
        "from tui_lab.tui.panes.chart.choices import choices_line\n"
        "from tui_lab.results.charts.registry import KINDS\n"
        "print(KINDS.members()['rugs'].about, choices_line(Request('rugs', {'x': 'loss'}), '-', None, True), sep='|')"
    )
    env = {**workbench.environment, **install(workbench.folder, CHARTS)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "a",
        "tick",
        "for",
        "each",
        "value",
        "of",
        "x|k",
        "rugs",
        "x",
        "loss",
        "l",
        "log",
        "-",
    ]


@pytest.mark.parametrize("name", list(OWN))
def test_a_kind_of_chart_stands_in_the_module_of_its_name(name: str) -> None:
    assert (CHART_KINDS[name].name, CHART_KINDS[name].about) == (name, OWN[name])
