"""Shared fixtures: a lab of its own for each test, whose engine, agents and tasks end with it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import settings

from tests.engine.nodes import openssh
from tests.workbench import Workbench

# The tests start hundreds of processes of this program: each would compile it anew where this is set.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Labs that tests make must not be among those that the user trusts.
_STATE = tempfile.TemporaryDirectory(prefix="tui-lab-tests-")
os.environ["XDG_STATE_HOME"] = _STATE.name

# DuckDB and Polars take pyarrow for much where it is installed. It is no dependency: nothing may need it.
sys.modules["pyarrow"] = None  # type: ignore[assignment]

# How fast an example is says nothing on a machine that is busy. Whether a change lands is not left to luck: the
# examples are the same in each run, and --long draws others, and more of them.
settings.register_profile("usual", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=500)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the longer mode of tests that have one")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "usual")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which it is not where the tests themselves run under `nohup`


# Files of these take long and mostly wait: they come first, so that no worker is left with one when the others have
# ended, and in turn with those that compute.
WAITING = ("tests/test_", "tests/cli/", "tests/engine/")


SLOW = frozenset({"fleet", "small_disk"})
"""Fixtures that take seconds: nodes with an SSH server each, a file system that fills up."""


def mixed(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests in the order in which their files are given to the workers."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    waiting = sorted(
        (name for name in files if name.startswith(WAITING)),
        key=lambda name: next(rank for rank, start in enumerate(WAITING) if name.startswith(start)),
    )
    computing = reversed([name for name in files if not name.startswith(WAITING)])  # those of the screen first
    return [item for pair in zip_longest(waiting, computing) for name in pair if name for item in files[name]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = mixed(items)
    for item in items:
        if SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip("takes its time: --long"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    openssh.terminal_summary(terminalreporter)
    for mark, what in (("smoke", "smoke runs"), ("fault", "fault scenarios")):
        counts = {
            outcome: sum(
                1
                for report in terminalreporter.stats.get(outcome, [])
                if isinstance(report, pytest.TestReport) and mark in report.keywords
            )
            for outcome in ("passed", "failed", "error", "skipped")
        }
        if any(counts.values()):
            said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
            terminalreporter.write_line(f"{what}: {said}")


@pytest.fixture
def workbench(tmp_path: Path) -> Iterator[Workbench]:
    made = Workbench(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def shared_workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """One for all tests of a file."""
    made = Workbench(tmp_path_factory.mktemp("workbench"))
    try:
        yield made
    finally:
        made.close()
