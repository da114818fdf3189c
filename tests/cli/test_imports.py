"""What each command, and the engine, loads of the libraries that take long to import."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.workbench import Workbench

HEAVY = {"textual", "rich", "asyncssh", "asyncio", "duckdb", "matplotlib", "scipy", "numpy", "polars", "yaml"}
FILE = {"yaml"}
LAB = FILE | {"numpy", "polars"}
PRINTED = LAB | {"rich"}

MAY_LOAD = {
    "schema": FILE,
    "schema --reference": FILE,
    "schema --cluster": FILE,
    "check e.yaml": LAB,
    "check lab": LAB,
    "plan e.yaml": LAB,
    "status": PRINTED,
    "nodes": PRINTED,
    "logs e/0": LAB,
    "show e/0": PRINTED,
    "history e": PRINTED,
    "diff e/0 e/1": LAB,
    "clean e --unplanned": LAB,
    "parse e": PRINTED,
    "stats e": PRINTED,
    "export e": PRINTED,
    "query 'FROM e'": PRINTED | {"duckdb"},
    "draw lines e": PRINTED | {"scipy"},
    "stop e": LAB,
    "pause e": LAB,
    "priority e 5": LAB,
    "retry e": PRINTED,
    "resume e": PRINTED,
    "fetch e/0": LAB,
    "--run e.yaml": PRINTED,
}
"""A command, and what it may load of the heavy ones."""


@pytest.fixture(scope="module")
def lab(shared_workbench: Workbench) -> Workbench:
    text = """\
    command: echo v {p}
    parameters: {p: [1, 2], q: {range: [0, 2]}}
    metrics: {v: 'v (@int@)'}
    """
    shared_workbench.write("e.yaml", text)
    shared_workbench.run("e.yaml")
    return shared_workbench


def loaded(code: str, lab: Workbench | None = None) -> set[str]:
    """The heavy ones that a program has loaded at its end."""
    program = f"import sys\n{code}\nprint('LOADED', *({HEAVY} & set(sys.modules)))"
    where, env = (lab.folder, lab.environment) if lab else (None, None)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=where, env=env, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("words", MAY_LOAD)
def test_a_command_loads_what_it_needs_only(lab: Workbench, words: str) -> None:
    code = f"from tui_lab.cli.main import main\nassert main({shlex.split(words)}) == 0"
    assert loaded(code, lab) <= MAY_LOAD[words]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "from tui_lab.cli.commands import COMMANDS\nfrom tui_lab.cli.main import main\n"
        "for words in [[], *([name] for name in COMMANDS.own)]:\n"
        "    try:\n        main([*words, '--help'])\n"
        "    except SystemExit as end:\n        assert end.code in (0, None)"
    )
    assert loaded(code) == set()


def test_the_engine_loads_no_more_than_scheduling_needs() -> None:
    assert loaded("import tui_lab.engine.process") == LAB | {"asyncio"}


def test_the_engine_is_started_before_anything_heavy_is_loaded(lab: Workbench) -> None:
    """It loads its part while the command loads its own."""
    code = (
        "import os\nfrom tui_lab.cli.main import main\nfrom tui_lab.engine import standby\n"
        f"def started(lab, **more):\n    print('LOADED', *({HEAVY} & set(sys.modules)), flush=True)\n    os._exit(0)\n"
        "standby.start_standby = started\nmain(['--run', 'e.yaml', '--rerun'])"
    )
    assert loaded(code, lab) == set()
