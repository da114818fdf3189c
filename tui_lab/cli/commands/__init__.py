"""All subcommands: who adds one adds its module to this package, and its line here. Other packages bring theirs as
entry points of `tui_lab.commands`, each a `Command`.

Nothing heavy is imported here: a command's module is imported when it runs.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from tui_lab.experiment.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OpenScreen: TypeAlias = "Callable[[Path, Path | None], int]"
"""Shows a lab, with a file in the editor, until a person leaves it; its exit status."""


@dataclass(frozen=True)
class Command:
    """A subcommand: its line in the help, and the module that has it: `main(arguments: list[str]) -> int` parses the
    arguments, does what they say, and returns an exit status (see `client.exit_status`)."""

    help: str
    module: str

    def run(self, *given: object) -> int:
        """Return the exit status."""
        status: int = importlib.import_module(self.module).main(*given)
        return status


_HELP: Final = {
    "explore": "a sweep from the command line alone, with the options of patas",
    "plan": "say what would run, and why",
    "check": "find every mistake in experiment files, and damage in labs",
    "schema": "print the JSON Schema of experiment.yaml, or its reference",
    "status": "how the experiments of a lab stand",
    "nodes": "where tasks run: how the nodes are, more or fewer of them",
    "logs": "what a task printed",
    "show": "everything about a task, or the command that repeats it",
    "fetch": "bring home what a task left on its node",
    "stop": "stop tasks, or whole experiments",
    "retry": "run failed, stopped or lost tasks again",
    "pause": "start nothing new for now",
    "resume": "go on with what was paused or interrupted",
    "history": "what was submitted when, and what became of it",
    "diff": "what differs between two tasks or two submissions",
    "clean": "remove outputs that are not wanted any more",
    "parse": "read metrics from outputs again, or with other patterns",
    "query": "ask the results with SQL",
    "draw": "charts of the results, in the terminal or as files",
    "stats": "which setting is best, and how sure that is",
    "export": "write the results for other tools",
}
RUN: Final = Command("run a sweep, or open the screen", f"{__name__}.run")
"""What runs where no subcommand is named."""
COMMANDS: Final = Registry(
    "tui_lab.commands", Command, {name: Command(help, f"{__name__}.{name}") for name, help in _HELP.items()}
)
"""By name, in the order of the help."""
