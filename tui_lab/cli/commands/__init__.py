"""All subcommands: who adds one adds its module to this package, and its line here. Other packages bring theirs as
entry points of `tui_lab.commands`, each a `Command`.

Nothing heavy is imported here: a command's module is imported when it runs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tui_lab.experiment.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Screen(NamedTuple):
    """The screen. The command line knows nothing else of it. Both functions get a lab, a file for the editor, and
    line and column there, and return an exit status.

    open: shows it until the user leaves it. serve: shows it in browsers, at a port, until a signal comes.
    """

    open: Callable[[Path, Path | None, tuple[int, int] | None], int]
    serve: Callable[[Path, Path | None, tuple[int, int] | None, int], int]


class Command(NamedTuple):
    """A subcommand: its line in the help, and the module that has it: `main(arguments: list[str]) -> int` parses the
    arguments, does what they say, and returns an exit status (see `client.exit_status`). shows: whether it is given the
    `Screen`, too."""

    help: str
    module: str
    shows: bool = False

    def run(self, *given: object) -> int:
        """Return the exit status."""
        status: int = importlib.import_module(self.module).main(*given)
        return status


_HELP: Final = {
    "explore": "run a sweep defined on the command line, with patas' options",
    "plan": "show what would run, and why",
    "check": "find mistakes in experiment files, and damage in labs",
    "schema": "print the JSON Schema of experiment.yaml, or its reference",
    "status": "show the progress of the experiments of a lab",
    "nodes": "show, add or change the nodes that tasks run on",
    "logs": "print the output of tasks",
    "show": "show everything about a task, or the command that repeats it",
    "fetch": "fetch files that a task left on its node",
    "stop": "stop tasks, or whole experiments",
    "retry": "run failed, stopped or lost tasks again",
    "pause": "start no more tasks for now",
    "priority": "let an experiment go before others",
    "resume": "continue what was paused or interrupted",
    "history": "list the submissions and their results",
    "diff": "show the differences of two tasks or two submissions",
    "clean": "remove old outputs",
    "trust": "let the metrics of a lab that came from elsewhere execute commands",
    "parse": "read metrics from outputs again, or with other patterns",
    "query": "query the results with SQL",
    "draw": "draw charts of the results, in the terminal or as files",
    "stats": "show which setting is best, and how sure that is",
    "export": "write the results for other tools",
    "serve": "show the screen in a browser",
}
_SHOWS: Final = frozenset({"serve"})
HELPER: Final = Command("serve a lab to a screen on another machine", f"{__name__}.remote_helper")
"""What such a screen starts there as `tui-lab remote-helper LAB`; the user types no such command."""
RUN: Final = Command("run a sweep, or open the screen", f"{__name__}.run", True)
"""What runs where no subcommand is named."""
COMMANDS: Final = Registry(
    "tui_lab.commands",
    Command,
    {name: Command(help, f"{__name__}.{name}", name in _SHOWS) for name, help in _HELP.items()},
)
"""By name, in the order of the help."""
