"""The command `tui-lab`: finds the subcommand, runs it, and turns every error into a line and an exit status.

Nothing heavy is imported here: each subcommand is a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from tui_lab.cli.commands import COMMANDS, HELPER, RUN, Command, Screen
from tui_lab.cli.interrupts import keep_interruptible
from tui_lab.client import shortage
from tui_lab.client.exit_status import DONE, INFRASTRUCTURE, INTERRUPTED, USAGE
from tui_lab.results.terminal.guard import guard_streams


def main(argv: Sequence[str] | None = None, screen: Screen | None = None) -> int:
    """Run one command line and return its exit status. screen: see `Screen`."""
    words = list(sys.argv[1:] if argv is None else argv)
    guard_streams()
    keep_interruptible()
    _tell_warnings()
    if lack := shortage.at_start():
        print(f"tui-lab: {lack}", file=sys.stderr)
        return INFRASTRUCTURE
    leading = _leading_options(words)
    rest = words[len(leading) :]
    if rest[:1] == ["help"] and len(rest) <= 2 and not os.path.lexists("help"):
        rest = [*rest[1:], "--help"]
        words = rest
    try:
        try:
            command = _command(rest)
            arguments = words if command is None else [*rest[1:], *leading]
            command = command or RUN
            status = command.run(arguments, screen) if command.shows else command.run(arguments)
        finally:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        _discard_output()  # its reader has gone, as `| head` does: that is no error
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:
        # Polars' panics, as where no thread can be started, are no Exception.
        if "--debug" in words or not (isinstance(error, Exception) or shortage.is_panic(error)):
            raise
        try:
            sys.stdout.flush()
        except OSError:  # a full disk: said below, and not once more by Python at its end
            _discard_output()
        return _explain(error)


def _command(words: list[str]) -> Command | None:
    """Return the subcommand that comes first; None where that is a file, an option, or nothing. Raises PluginError."""
    name = words[0] if words else ""
    if name == "remote-helper":
        return HELPER
    if name in COMMANDS.own:
        return COMMANDS.own[name]
    return COMMANDS.get(name) if name.isidentifier() and not os.path.lexists(name) else None


def _is_here_gone() -> bool:
    """Whether the current folder was removed."""
    try:
        os.getcwd()  # noqa: PTH109 (pathlib is not imported here)
    except FileNotFoundError:
        return True
    return False


def _discard_output() -> None:
    """Let what is left for standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Notes(logging.Handler):
    """What a lab's files are found to be while they are read, once each, on standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._told:
            self._told.add(text)
            print(f"note: {text}", file=sys.stderr)


def _tell_warnings() -> None:
    logger = logging.getLogger("tui_lab")
    logger.handlers = [_Notes()]


def _leading_options(words: list[str]) -> list[str]:
    """`--lab DIR` and `--debug` where they stand before the subcommand."""
    end = 0
    while end < len(words):
        if words[end] == "--lab" and end + 1 < len(words):
            end += 2
        elif words[end].startswith("--lab=") or words[end] == "--debug":
            end += 1
        else:
            break
    return words[:end]


def _explain(error: BaseException) -> int:
    """Say what went wrong in a line or two; the exit status that belongs to it."""
    from tui_lab.client.errors import NothingToDoError, UsageError
    from tui_lab.experiment.registry import PluginError
    from tui_lab.experiment.yaml.problem import SpecError
    from tui_lab.store.errors import LabError, StorageError

    if isinstance(error, SpecError):
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return USAGE
    if isinstance(error, NothingToDoError):
        print(error, file=sys.stderr)
        return DONE
    if isinstance(error, (StorageError, PluginError)):
        print(f"tui-lab: {error}", file=sys.stderr)
        return INFRASTRUCTURE
    if isinstance(error, (LabError, UsageError)):
        print(f"tui-lab: {error}", file=sys.stderr)
        return USAGE
    if lack := shortage.behind(error):
        print(f"tui-lab: {lack}", file=sys.stderr)
        return INFRASTRUCTURE
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        if isinstance(error, FileNotFoundError) and not place and _is_here_gone():
            place = "the current folder was removed: "
        print(f"tui-lab: {place}{error.strerror or error}", file=sys.stderr)
        return INFRASTRUCTURE
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] != "tui_lab":
        print(f"tui-lab: the package {error.name} is not installed; install tui-lab again with pip", file=sys.stderr)
        return INFRASTRUCTURE
    print(f"tui-lab: internal error: {type(error).__name__}: {error}", file=sys.stderr)
    print("Run it again with --debug for the traceback, and report it.", file=sys.stderr)
    return INFRASTRUCTURE
