"""`tui-lab --run FILE...`: submit, follow, and print a summary at the end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui_lab.cli.commands import COMMANDS, Command, Screen
from tui_lab.cli.opening import in_file, what_to_open
from tui_lab.cli.options import (
    Parser,
    add_common,
    add_json,
    add_nodes,
    add_rerun,
    add_take_over,
    lab_path,
    without_value,
)
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.results.terminal.guard import console as new_console

if TYPE_CHECKING:
    from tui_lab.client.remote.address import RemoteAddress
    from tui_lab.client.submission import Choice, Prepared
    from tui_lab.engine.standby import StandbyEngine
    from tui_lab.experiment.cluster.entry import NodeEntry
    from tui_lab.experiment.yaml.problem import Problem
    from tui_lab.store.lab import Lab

_EPILOG: Final = """commands:
{commands}

  tui-lab COMMAND --help describes each one.

examples:
  tui-lab experiment.yaml                      the screen: edit, run, watch, ask
  tui-lab --run experiment.yaml                run a sweep on this machine
  tui-lab --run experiment.yaml lr=0.1,0.2     only these values; they may be new ones
  tui-lab --run experiment.yaml --first        try one task, its output on screen
  tui-lab --run experiment.yaml --help         the parameters of an experiment
  tui-lab query 'SELECT * FROM grid LIMIT 5'   query the results
"""


def parser(known: Mapping[str, Command] = COMMANDS.own) -> argparse.ArgumentParser:
    """Return the parser of `--run`. `known`: the commands that its help lists."""
    width = max(map(len, known))
    listed = "\n".join(f"  {name:<{width}}  {command.help}" for name, command in known.items())
    it = Parser(
        usage="tui-lab [FILE[:LINE] | LAB | [USER@]HOST:LAB]     the screen\n"
        "       tui-lab --run FILE... [name=value ...] [options]\n       tui-lab COMMAND [options]",
        description="Sweeps over the settings of a program: run them, read their outputs, query the results.",
        epilog=_EPILOG.format(commands=listed),
    )
    it.add_argument(
        "words", nargs="*", metavar="FILE | name=value", help="experiment files, and values for this run only"
    )
    it.add_argument("--run", action="store_true", help="run without a screen")
    it.add_argument("--first", action="store_true", help="run the first task in the foreground, its output on screen")
    it.add_argument("--detach", action="store_true", help="start the run and return at once")
    it.add_argument(
        "--only", metavar="SQL", help='run only the tasks for which this is true, as in "lr < 0.1 AND repeat = 0"'
    )
    it.add_argument("--new", action="store_true", help="don't run failed and lost tasks again")
    add_rerun(it)
    it.add_argument(
        "--adopt", action="store_true", help="keep the results of tasks that are new only because of an edit"
    )
    it.add_argument(
        "--without-added", action="store_true", help="remove combinations from the plan that name=value added"
    )
    it.add_argument(
        "--replace", action="store_true", help="use this file instead of the one that the experiment came from"
    )
    it.add_argument("--keep-going", action="store_true", help="go on even if the first tasks all fail")
    add_nodes(it)
    add_take_over(it)
    it.add_argument("--version", action="store_true", help="print the version")
    add_json(it)
    add_common(it)
    return it


def main(arguments: list[str], screen: Screen | None = None, nodes: list[NodeEntry] | None = None) -> int:
    """Run `tui-lab --run`, or open the screen; return the exit status. nodes: those to run on, if the arguments name
    none. screen: see `Screen`."""
    asked = not {"-h", "--help"}.isdisjoint(arguments)
    if asked and "--run" in arguments and (files := [word for word in arguments if Path(word).is_file()]):
        return _print_parameters(files)
    args = parser(COMMANDS.members() if asked else COMMANDS.own).parse_intermixed_args(without_value(arguments))
    if args.version:
        from tui_lab import __version__

        print(f"tui-lab {__version__}")
        return DONE
    if not args.run:
        if len(args.words) == 1 and ":" in args.words[0] and screen is not None and in_file(args.words[0]) is None:
            from tui_lab.client.remote.address import remote_address

            address = remote_address(args.words[0])
            if address is not None:
                return _open_remote(address, screen)
        opened = what_to_open(args, COMMANDS)
        if screen is None:
            raise UsageError("there is no terminal for the screen; use --run, status, query: see tui-lab --help")
        return screen.open(*opened)
    if not args.words:
        raise UsageError("--run needs a file, as in: tui-lab --run experiment.yaml")
    return run(args, nodes)


def _print_parameters(files: list[str]) -> int:
    """Print the parameters of experiments; return the exit status."""
    from tui_lab.client.parameter_help import parameter_help
    from tui_lab.experiment.load import load

    texts = ["\n".join(parameter_help(load(Path(file)))) for file in files]
    print("\n\n".join([*texts, "tui-lab --help describes the options."]))
    return DONE


def _open_remote(address: RemoteAddress, screen: Screen) -> int:
    """Open the screen on a lab of another machine. Raises LabError, StorageError."""
    from rich.markup import escape

    from tui_lab.client.remote.connection import Copied, RemoteLab

    remote = RemoteLab(address, os.environ)
    with new_console(stderr=True).status(f"connecting to {address.host}") as status:

        def show(copied: Copied) -> None:
            if words := copied.words(address.host):
                status.update(escape(words))

        lab = remote.open(show)
    try:
        return screen.open(lab, None, None)
    finally:
        remote.close()


def run(args: argparse.Namespace, nodes: list[NodeEntry] | None = None) -> int:
    """Submit experiments and follow them to their end; return the exit status.

    nodes: the nodes to run on, else those of the arguments."""
    from tui_lab.engine.paths import require_linux
    from tui_lab.engine.standby import start_standby
    from tui_lab.store.layout import ENGINE_FILE

    require_linux()

    # First of all, for it needs as long for its imports as we for ours.
    alive = (lab_path(args) / ENGINE_FILE).exists()
    ssh = bool(args.cluster) or any(words[0] != "localhost" for words in args.node)
    standby = None if args.first or alive else start_standby(lab_path(args).absolute(), ssh=ssh)
    try:
        return _run(args, nodes, standby)
    finally:
        if standby is not None:
            standby.dismiss()


def _run(args: argparse.Namespace, nodes: list[NodeEntry] | None, standby: StandbyEngine | None) -> int:
    from tui_lab.client.follow import Followed, Interrupts
    from tui_lab.client.nodes import read_nodes
    from tui_lab.client.submission import Choice, find_lab, split_words, submit
    from tui_lab.engine.lock import claim
    from tui_lab.store.lab import Lab

    files, overrides = split_words(args.words)
    if not files:
        raise UsageError("--run needs a file besides name=value")
    choice = Choice(
        overrides,
        args.only,
        args.new,
        args.rerun is not None,
        args.adopt,
        args.replace,
        args.without_added,
        args.rerun or None,
    )
    nodes = read_nodes(args.node, args.cluster) if nodes is None else nodes
    lab = find_lab(lab_path(args))
    if args.first:
        from tui_lab.client.foreground import run_first
        from tui_lab.engine.transports import is_remote

        tried = _prepare_all(lab, files[:1], choice)[0]
        if far := [node["name"] for node in nodes if is_remote(node)]:
            print(f"note: --first tries the task on this machine, not on {', '.join(far)}", file=sys.stderr)
        if len(files) > 1:
            print(f"note: --first tries one task, of {files[0]}", file=sys.stderr)
        return run_first(tried)
    first = None
    if lab is None:
        first = _prepare_all(None, files, choice)  # every file's mistakes, before a lab is made
        lab = Lab.create(lab_path(args))
    claim(lab, args.take_over)
    with lab.submitting():
        if first is not None and not lab.experiments():
            prepared = [one.placed(lab) for one in first]
        else:
            prepared = _prepare_all(lab, files, choice)
        for one in prepared:
            if not args.json:
                announce(one)
        heard = Interrupts()
        client, submitted = submit(lab, prepared, nodes, args.keep_going, os.environ, standby)
    runs = [Followed(one.prepared.folder, one.number, len(one.prepared.queued), one.state) for one in submitted]
    if args.detach:
        heard.restore()
        if not args.json and runs:
            print(
                "Started. `tui-lab status` shows the progress; the same command without --detach follows the run.",
                file=sys.stderr,
            )
        return DONE
    from tui_lab.cli.watch import watch  # while the first tasks run

    return watch(lab, client, runs, [one.folder for one in prepared], args, heard)


def _prepare_all(lab: Lab | None, files: list[Path], choice: Choice) -> list[Prepared]:
    """Prepare every file, so that the mistakes of all are reported at once. Raises SpecError, LabError."""
    from tui_lab.client.submission import prepare
    from tui_lab.experiment.yaml.problem import SpecError

    prepared: list[Prepared] = []
    problems: list[Problem] = []
    with new_console(stderr=True).status("planning") if sys.stderr.isatty() else nullcontext():
        for file in files:
            try:
                prepared.append(prepare(lab, file, choice))
            except SpecError as error:
                problems += error.problems
    if problems:
        raise SpecError(problems)
    names = [one.experiment.name for one in prepared]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"two of the files are called {twice.pop()}: give one of them another `name:`")
    return prepared


def announce(prepared: Prepared) -> None:
    """Print what is about to run, and why, on standard error."""
    from tui_lab.cli.commands.plan import and_more
    from tui_lab.client.formatting import plural

    for notice in prepared.notices:
        print(f"note: {notice}", file=sys.stderr)
    again = {f"because {why}": count for why, count in prepared.reasons.items()}
    parts = [f"{count:,} {what}" for what, count in (again | prepared.parts).items()]
    name = prepared.experiment.name
    detail = f" ({', '.join(parts)})" if parts else ""
    print(f"{name}: {plural(len(prepared.queued), 'task')} to run{detail}{and_more(prepared)}", file=sys.stderr)
