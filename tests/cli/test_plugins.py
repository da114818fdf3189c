"""What other packages bring by entry points: found by name, used everywhere, and not looked for without need."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import tui_lab
from tests.workbench import Workbench
from tui_lab.experiment.domains.kinds import KINDS

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


def literals(folder: Path) -> Iterator[tuple[str, int, str]]:
    """The texts in the sources of a folder, but for docstrings and the examples of the reference: file, line, text."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        examples = {
            id(node)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call)
            for keyword in call.keywords
            if keyword.arg == "examples"
            for node in ast.walk(keyword.value)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in examples:
                yield str(path.relative_to(folder)), node.lineno, node.value


# ---- domains

DOMAINS = {"tui_lab.domains": {"primes": "tests.made_up.domain:Primes", "broken": "no_such_module:Domain"}}


def test_a_domain_of_another_package(workbench: Workbench) -> None:
    env = install(workbench.folder, DOMAINS)
    workbench.write("p.yaml", "command: echo v {p}\nparameters: {p: {primes: 4}, q: [1]}\nmetrics: {v: 'v (@int@)'}\n")
    assert "4 combinations" in workbench.process("plan", "p.yaml", env=env).out
    workbench.process("--run", "p.yaml", env=env)
    answer = workbench.process("query", "SELECT p, v FROM p ORDER BY p", "--format", "csv", env=env)
    assert answer.lines == ["p,v", "2,2", "3,3", "5,5", "7,7"]
    assert "2 done" in workbench.process("plan", "p.yaml", "p={primes: 2}", env=env).out
    schema = json.loads(workbench.process("schema", env=env).out)
    kinds = schema["$defs"]["domain"]["anyOf"][2]["properties"]
    assert kinds["primes"] == {"title": "primes", "description": "The first `n` prime numbers.", **kinds["primes"]}
    assert list(kinds) == [*KINDS.own, "primes"], "one that is broken is left out"

    workbench.write("p.yaml", "command: echo {p}\nparameters: {p: {primes: none}}\n")
    wrong = workbench.process("check", "p.yaml", code=2, env=env)
    assert 'p.yaml:2:26: "primes" must be a whole number' in wrong.err + wrong.out
    workbench.write("p.yaml", "command: echo {p}\nparameters: {p: {prime: 3}}\n")
    wrong = workbench.process("check", "p.yaml", code=2, env=env)
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


def test_nothing_else_knows_the_kinds_of_domain() -> None:
    own = {
        "experiment/domains/" + Path(sys.modules[kind.__module__].__file__ or "").name for kind in KINDS.own.values()
    }
    other = {
        "experiment/expressions/expression.py",  # range() of SQL
    }
    found = [one for one in literals(ROOT / "tui_lab") if one[2] in KINDS.own and one[0] not in own | other]
    assert not found


@pytest.mark.parametrize("name", list(KINDS.own))
def test_a_kind_stands_in_the_module_of_its_name(name: str) -> None:
    assert KINDS[name].__module__ == f"tui_lab.experiment.domains.{name}"
