"""Parsers of the subcommands, and the options that several of them share."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from tui_lab.results.terminal.guard import own

if TYPE_CHECKING:
    from tui_lab.store.experiment import ExperimentFolder
    from tui_lab.store.lab import Lab


class Parser(argparse.ArgumentParser):
    """argparse with our help, and errors of one line."""

    def __init__(self, name: str = "", **options: Any) -> None:
        options.setdefault("formatter_class", _help_formatter())
        super().__init__(prog=f"tui-lab {name}".strip(), allow_abbrev=False, **options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the words; options may stand anywhere between the others, which plain argparse refuses."""
        return self.parse_intermixed_args(args, namespace)

    def format_help(self) -> str:
        """The help, whose prose fits the terminal as its options do."""
        raw = self.description, self.epilog
        self.description, self.epilog = (_fitted(text) if text else text for text in raw)
        try:
            return super().format_help()
        finally:
            self.description, self.epilog = raw

    def _print_message(self, message: str, file: Any = None) -> None:
        own(file or sys.stderr).write(message)  # our own words, with colours

    def error(self, message: str) -> NoReturn:
        """Print one line with a hint, and exit with status 2."""
        hint = self._hint(message) or f"see {self.prog} --help"
        print(f"{self.prog}: {message}; {hint}", file=sys.stderr)
        raise SystemExit(2)

    def _hint(self, message: str) -> str:
        """The option that was meant, where one that is not known is near it."""
        what, _, words = message.partition(": ")
        if what != "unrecognized arguments":
            return ""
        from tui_lab.experiment.yaml.problem import suggest

        options = [word.partition("=")[0] for word in words.split() if word.startswith("--")]
        for goal in ("min", "max"):
            if "--goal" in self._option_string_actions and goal in words.split():
                return f"write --goal NAME={goal}"
        if "--json" in options and "--format" in self._option_string_actions:
            return "write --format json"
        if "--rerun" in self._option_string_actions and (hint := _instead_of_a_run(words.split())):
            return hint
        return next(filter(None, (suggest(option, self._option_string_actions) for option in options)), "")


def _instead_of_a_run(words: Sequence[str]) -> str:
    """Return the command that was meant by an option that other tools have for it; empty where there is none. No option
    that begins a run may be proposed for those."""
    options = {word.partition("=")[0] for word in words}
    return next((f"`{command}` {what}" for names, command, what in _INSTEAD if not names.isdisjoint(options)), "")


_INSTEAD: Final = (
    (
        frozenset(
            [
                "--dry-run",
                "--dryrun",
                "--dry",
                "-n",
                "--just-print",
                "--recon",
                "--plan",
                "--list",
                "--preview",
                "--simulate",
                "--no-run",
            ]
        ),
        "tui-lab plan FILE",
        "shows what a run would do, and runs nothing",
    ),
    (
        frozenset(["--check", "--validate", "--lint", "--syntax-check"]),
        "tui-lab check FILE",
        "looks for mistakes, and runs nothing",
    ),
)
"""Options of other tools that run nothing, and the command that does the same."""


def _fitted(text: str) -> str:
    """A text with its paragraphs wrapped to the terminal's width; indented lines and headings stay as they are."""
    import shutil
    import textwrap

    width = max(shutil.get_terminal_size().columns - 2, 20)
    lines: list[str] = []
    for prose, group in itertools.groupby(text.split("\n"), lambda line: bool(line) and not line[0].isspace()):
        block = list(group)
        lines += textwrap.wrap(" ".join(block), width, break_on_hyphens=False) if prose else block
    return "\n".join(lines)


def _help_formatter() -> type[argparse.HelpFormatter]:
    # Colours only where someone looks: the plain formatter is many times faster to import.
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        from rich_argparse import RawDescriptionRichHelpFormatter

        return RawDescriptionRichHelpFormatter
    return argparse.RawDescriptionHelpFormatter


def examples(*lines: tuple[str, str]) -> str:
    """The end of a help text: command lines, each with what it does."""
    width = max(len(words) for words, _ in lines)
    return "examples:\n" + "".join(f"  {words:<{width}}  {text}\n" for words, text in lines)


FORMATS: Final = ("table", "csv", "tsv", "excel-csv", "xlsx", "json", "jsonl", "parquet", "markdown")
"""Of tables; as `results.output` has them, which takes long to import."""
TASK: Final = """TASK is a number (3), several (3-9), one of another experiment (grid/3), an attempt (3.2),
a step or stage (3:train), a whole experiment (grid), or a SQL condition ("state = 'failed' AND lr > 0.1").
Without an experiment, it is the newest one."""


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands have: `--lab`, `--debug`."""
    parser.add_argument("--lab", metavar="DIR", help="the lab's folder (default: $TUI_LAB_DIR, else ./lab)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_rerun(parser: argparse.ArgumentParser) -> None:
    """Add `--rerun[=STAGE]`. The words must have gone through `without_value`."""
    parser.add_argument(
        "--rerun",
        nargs="?",
        metavar="=STAGE",
        help="run done tasks again, as the next version; with stages, all of them, or those from STAGE on",
    )


def without_value(words: Sequence[str], **others: str) -> list[str]:
    """Return the words so that `--rerun` takes no value but with `=`: a file may stand behind it. others: further such
    options, and what they mean without a value."""
    alone = {f"--{name}": f"--{name}={value}" for name, value in {"rerun": "", **others}.items()}
    return [alone.get(word, word) for word in words]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def add_nodes(parser: argparse.ArgumentParser) -> None:
    """The options that say where to run."""
    parser.add_argument(
        "--node",
        nargs="+",
        action="append",
        default=[],
        metavar="NODE",
        help="where to run: `[USER@]HOST[:PORT] [SLOTS] [TAG...]`, or the name of a node of --cluster; may be repeated",
    )
    parser.add_argument(
        "--cluster",
        action="append",
        default=[],
        metavar="FILE",
        help="a cluster.yaml with the machines to run on: all, or those that --node names",
    )


def read_goals(words: Sequence[str], bare: bool = False) -> list[tuple[str, Literal["min", "max"]]]:
    """`NAME=min,...` as names and goals; with `bare` a goal may stand alone, and its name is empty. Raises UsageError
    that says what to write."""
    from tui_lab.client.errors import UsageError

    found: list[tuple[str, Literal["min", "max"]]] = []
    for part in (part.strip() for word in words for part in word.split(",") if part.strip()):
        name, _, goal = part.rpartition("=")
        if goal in ("min", "max") and (name or bare):
            found.append((name, "min" if goal == "min" else "max"))
            continue
        parts = [word for word in re.split(r"[\s=:]+", part) if word]
        meant = next((word for word in parts if word.lower()[:3] in ("min", "max")), "")
        name = next((word for word in parts if word != meant), "NAME")
        hint = f"{name}={meant.lower()[:3]}" if meant else f"{name}=min or {name}=max"
        raise UsageError(f"--goal {part}: write {hint}")
    return found


def add_take_over(parser: argparse.ArgumentParser) -> None:
    """Add `--take-over`."""
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="continue here with a lab whose engine was on a machine that is gone",
    )


def lab_path(args: argparse.Namespace) -> Path:
    """Return the lab's folder: `--lab`, else $TUI_LAB_DIR, else ./lab."""
    return Path(args.lab or os.environ.get("TUI_LAB_DIR") or "lab")


def relative(path: Path) -> Path:
    """A path as the user types it: from here, where it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def open_lab(args: argparse.Namespace) -> Lab:
    """Raises LabError."""
    from tui_lab.store.lab import Lab

    return Lab.open(lab_path(args))


def lab_to_read(args: argparse.Namespace) -> Lab:
    """Open the lab for a command that only reads, with a note if an engine elsewhere runs it. Raises LabError."""
    from tui_lab.engine.lock import engine_elsewhere

    lab = open_lab(args)
    error = engine_elsewhere(lab)
    if error is not None:
        print(f"note: {error.message}", file=sys.stderr)
    return lab


def lab_to_run(args: argparse.Namespace) -> Lab:
    """For commands that start tasks; with --take-over also where an engine on another machine had it. Raises
    LabError, StorageError where that engine has it still."""
    from tui_lab.engine.lock import claim

    lab = open_lab(args)
    claim(lab, args.take_over)
    return lab


def choose_experiments(lab: Lab, names: list[str]) -> list[ExperimentFolder]:
    """The experiments named, or all of the lab, the newest last. Raises LabError."""
    return [lab.experiment(name) for name in (names or lab.experiments())]


SCHEMA_VERSION = 1  # of everything that --json prints


def print_json(value: Mapping[str, object]) -> None:
    """One line. What is no number (NaN, infinity) is null there."""
    import msgspec
    import orjson

    whole = {"schema_version": SCHEMA_VERSION, **value}
    try:
        line = orjson.dumps(whole, default=msgspec.to_builtins, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError:  # integers beyond 64 bits
        line = json.dumps(_plain(msgspec.to_builtins(whole, enc_hook=_scalar)), ensure_ascii=False)
    print(line, flush=True)


def _scalar(value: Any) -> object:
    """Return a number of NumPy as one of Python, and what else JSON does not have as text."""
    return value.item() if hasattr(value, "item") else str(value)


def _plain(value: Any) -> Any:
    """Return the value with null for what is no number (NaN, infinity)."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
