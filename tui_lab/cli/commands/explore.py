"""`tui-lab explore`: patas' command, option by option. It writes an experiment.yaml and runs that."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui_lab.cli import negative
from tui_lab.cli.options import Parser, add_common, add_json, add_take_over, lab_path
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE, FAILED
from tui_lab.experiment.data_types import JsonObject

if TYPE_CHECKING:
    import argparse

    from tui_lab.cli.exploring import Sweep
    from tui_lab.store.lab import Lab

    Wanted = tuple[Path, str | None]
    """An experiment file, and its text where it is not written yet."""

_EPILOG = """The sweep is written to LAB/NAME.yaml, an experiment file like any other: you can add metrics
there, and `tui-lab --run LAB/NAME.yaml` runs it again. Placeholders are those of --run: values are data,
never shell code.

examples:
  tui-lab explore --cmd './main.py {neurons} {activation} fast' --va neurons 1 51 2 \\
      --vl activation relu tanh --repeat 10 --node localhost 4
  tui-lab explore --cmd 'sim {x}' --vl x -1 -1e-3 0.5 -y     negative values need no quotes
  tui-lab explore --experiment grid.yaml --cluster here.yaml  patas' files, or ours
"""


def parser() -> Parser:
    """Return the parser of `tui-lab explore`."""
    it = Parser("explore", description="Run a sweep defined on the command line.", epilog=_EPILOG)
    it.add_argument("--type", choices=("grid",), default="grid", help="all combinations")
    it.add_argument(
        "--cmd", action="append", default=[], metavar="COMMAND", help="the command; several run one after the other"
    )
    it.add_argument(
        "--vl",
        nargs="+",
        type=negative.text,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter and its values",
    )
    it.add_argument(
        "--va",
        nargs=4,
        type=negative.text,
        action="append",
        default=[],
        metavar=("NAME", "MIN", "MAX", "STEP"),
        help="MIN, MIN + STEP, ... up to MAX, MAX excluded",
    )
    it.add_argument(
        "--vg",
        nargs=4,
        type=negative.text,
        action="append",
        default=[],
        metavar=("NAME", "MIN", "MAX", "FACTOR"),
        help="MIN, MIN * FACTOR, ... up to MAX, MAX excluded",
    )
    it.add_argument("--repeat", type=int, metavar="N", help="how often each combination runs (default: 1)")
    it.add_argument("--max-tries", type=int, metavar="N", help="most attempts of a task (default: 3)")
    it.add_argument("--workdir", metavar="DIR", help="where tasks start (default: here)")
    it.add_argument("--name", help="name of the experiment (default: grid)")
    it.add_argument("--redo", action="store_true", help="run done tasks again, as the next version")
    it.add_argument(
        "--experiment", action="append", default=[], metavar="FILE", help="an experiment file, patas' or ours"
    )
    it.add_argument("--cluster", action="append", default=[], metavar="FILE", help="a cluster file, patas' or ours")
    it.add_argument(
        "--node",
        nargs="+",
        type=negative.text,
        action="append",
        default=[],
        metavar=("HOST", "WORKERS TAG"),
        help="[USER@]HOST[:PORT] [WORKERS] [TAG...]; all nodes of all options are used",
    )
    it.add_argument(
        "--filter-tasks",
        nargs="+",
        action="extend",
        default=[],
        metavar="A:B",
        help="only these tasks: A:B A: :B N NAME:A:B",
    )
    it.add_argument(
        "--filter-nodes",
        nargs="+",
        action="extend",
        default=[],
        metavar="TAG",
        help="only nodes with all of these tags",
    )
    it.add_argument("--patas-env", action="store_true", help="also set patas' variables for tasks: PATAS_VAR_NAME, ...")
    it.add_argument("-y", dest="yes", action="store_true", help="ask no questions")
    it.add_argument("-q", dest="quiet", action="store_true", help="print nothing but errors")
    it.add_argument("-o", dest="lab", metavar="DIR", help="the same as --lab")
    it.add_argument("--detach", action="store_true", help="start the run and return at once")
    it.add_argument("--replace", action="store_true", help="replace another file of the same name")
    it.add_argument("--keep-going", action="store_true", help="go on even if the first tasks all fail")
    add_take_over(it)
    add_json(it)
    add_common(it)
    return it


def main(arguments: list[str]) -> int:
    """Run `tui-lab explore`; return the exit status."""
    args = parser().parse_args(negative.protect(arguments))

    from tui_lab.cli import patas_files
    from tui_lab.client.reading import noted

    nodes = patas_files.read_nodes(args.node, args.cluster, args.filter_nodes)
    patas_files.task_condition(args.filter_tasks, "")
    with noted(", ".join(args.experiment) or "the command"):
        sweeps, files = _wanted(args)
        made = [_checked(sweep, args) for sweep in sweeps]  # all mistakes before anything is written
    from tui_lab.client.submission import find_lab
    from tui_lab.store.lab import Lab

    lab = find_lab(lab_path(args))
    for path, text in made:
        _check_edited(lab, path, text, args.replace)
    wanted = [*((file, None) for file in files), *made]
    redo = args.redo or any(sweep.redo for sweep in sweeps)
    calls = list(_calls(wanted, args, redo))
    if not args.yes and not args.quiet and sys.stdin.isatty() and not _confirmed(lab, wanted, args, redo):
        print("Nothing was started.", file=sys.stderr)
        return DONE
    from tui_lab.cli.commands import run

    lab = Lab.create(lab_path(args))
    worst = DONE
    with _kept(lab, made), _silence(args.quiet):
        for words in calls:
            status = run.main(words, nodes=nodes)
            worst = status if status not in (DONE, FAILED) else max(worst, status)
            if worst > FAILED:
                break
    return worst


# --- What to run


def _wanted(args: argparse.Namespace) -> tuple[list[Sweep], list[Path]]:
    """Return the sweeps to write files for, and our own experiment files. Raises UsageError, SpecError."""
    from tui_lab.cli import exploring, patas_files

    sweeps, files = [], []
    for name in args.experiment:
        sweep = patas_files.read_sweep(Path(name))
        if sweep is None:
            files.append(Path(name))
        else:
            sweeps.append(replace(sweep, patas_env=args.patas_env))
    domains = [
        *(exploring.listed(words) for words in args.vl),
        *(exploring.arithmetic(*words) for words in args.va),
        *(exploring.geometric(*words) for words in args.vg),
    ]
    names = [name for name, _ in domains]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"explore: the parameter {name} is given twice")
    for option, value in (("--repeat", args.repeat), ("--max-tries", args.max_tries)):
        if value is not None and value < 1:
            raise UsageError(f"explore {option} {value}: it must be 1 or more")
    if args.cmd:
        sweep = exploring.Sweep(
            args.name or "grid",
            tuple(args.cmd),
            tuple(domains),
            args.repeat or 1,
            args.max_tries or exploring.MAX_TRIES,
            _absolute(args.workdir),
            patas_env=args.patas_env,
        )
        sweeps.append(sweep)
    elif domains:
        raise UsageError("explore: --cmd is missing: no command uses the parameters")
    if not sweeps and not files:
        raise UsageError("explore needs a --cmd, or an --experiment file; see tui-lab explore --help")
    names = [sweep.name for sweep in sweeps]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"explore: two experiments are called {name}; --name changes the name of the one of --cmd")
    return sweeps, files


def _absolute(workdir: str | None) -> str | None:
    """Return the working folder for the file. One that begins with a variable or a placeholder stays as it is."""
    if workdir is None or workdir.startswith(("$", "~", "{")):
        return workdir
    return os.path.abspath(workdir)  # noqa: PTH100 (a link stays a link)


def _checked(sweep: Sweep, args: argparse.Namespace) -> tuple[Path, str]:
    """Return the file of a sweep and its text, once that is valid. Raises UsageError."""
    from tui_lab.cli import exploring
    from tui_lab.experiment.combinations import expand
    from tui_lab.experiment.load import load
    from tui_lab.experiment.names import experiment_name_error
    from tui_lab.experiment.yaml.problem import SpecError

    wrong = experiment_name_error(sweep.name)
    if wrong is not None:
        raise UsageError(f"explore: {wrong[0]}; {wrong[1]}")
    folder = lab_path(args).absolute()
    path = folder / f"{sweep.name}.yaml"
    sweep = replace(sweep, kept=_metrics(folder / sweep.name))
    text = exploring.write_sweep(sweep, folder)
    try:
        expand(load(path, text=text))
    except SpecError as error:
        said = {
            f"{problem.message}" + (f"; {problem.hint}" if problem.hint else ""): None for problem in error.problems
        }
        raise UsageError("\n".join(f"explore: {line}" for line in said)) from None
    return path, text


def _metrics(folder: Path) -> JsonObject:
    """The metrics that `parse` or the user gave the experiment: a larger sweep keeps them."""
    from tui_lab.experiment.yaml.parser import parse
    from tui_lab.store.experiment import ExperimentFolder

    experiment = ExperimentFolder(folder)
    if not experiment.exists() or not experiment.state().plan:
        return {}
    document = parse(experiment.spec_text(), "").value
    return {key: document[key] for key in ("metrics", "rows") if document.get(key)}


def _check_edited(lab: Lab | None, path: Path, text: str, may_replace: bool) -> None:
    """Raises UsageError, StorageError where the user edited the file and has not run it."""
    old = _read(path)
    if old not in (None, text) and not may_replace and not (lab is not None and _submitted(lab, path.stem, old)):
        raise UsageError(
            f"{path} has been changed and not run: run it with `tui-lab --run {path}`, "
            "or give --replace or another --name"
        )


@contextlib.contextmanager
def _kept(lab: Lab, made: list[tuple[Path, str]]) -> Iterator[None]:
    """Write the files of sweeps. If a sweep is refused, its file is restored: it would count as edited and not run.
    Raises StorageError."""
    before = {path: _read(path) for path, _ in made}
    try:
        for path, text in made:
            if before[path] != text:
                _write(path, text)
        yield
    finally:
        for path, text in made:
            old = before[path]
            if old != text and _read(path) == text and not _submitted(lab, path.stem, text):
                if old is None:
                    path.unlink(missing_ok=True)
                else:
                    _write(path, old)


def _read(path: Path) -> str | None:
    from tui_lab.store.errors import storage_error

    try:
        return path.read_text(encoding="utf-8") if path.exists() else None
    except OSError as error:
        raise storage_error(path, error) from error


def _write(path: Path, text: str) -> None:
    from tui_lab.store.errors import storage_error

    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def _submitted(lab: Lab, name: str, text: str) -> bool:
    """Return whether the lab has this text among the plans of an experiment."""
    plans = lab.new_experiment(name).plans
    return any(file.read_text(encoding="utf-8") == text for file in plans.glob("*.yaml"))


def _calls(wanted: Sequence[Wanted], args: argparse.Namespace, redo: bool) -> Iterator[list[str]]:
    """Return the words for --run: one call for all files, or, where tasks are chosen, one for each file."""
    from tui_lab.cli.patas_files import task_condition
    from tui_lab.experiment.load import load

    common = ["--run", *(["--lab", args.lab] if args.lab else [])]
    for option in ("detach", "replace", "keep_going", "take_over", "json", "debug"):
        if getattr(args, option):
            common.append(f"--{option.replace('_', '-')}")
    if redo:
        common.append("--rerun")
    if not args.filter_tasks:
        yield [*(_word(file) for file, _ in wanted), *common]
        return
    found = False
    for file, text in wanted:
        condition = task_condition(args.filter_tasks, load(file, text).name)
        if condition is not None:
            found = True
            yield [_word(file), *common, "--only", condition]
    if not found:
        raise UsageError(f"explore --filter-tasks {' '.join(args.filter_tasks)}: there is no experiment of this name")


def _word(file: Path) -> str:
    return os.path.relpath(file) if file.is_absolute() and file.is_relative_to(Path.cwd()) else str(file)


# --- Asking


def _confirmed(lab: Lab | None, wanted: Sequence[Wanted], args: argparse.Namespace, redo: bool) -> bool:
    """Show what would run, and ask. Raises SpecError, LabError, UsageError."""
    from tui_lab.cli.commands import plan
    from tui_lab.cli.patas_files import task_condition
    from tui_lab.client.reading import noted
    from tui_lab.client.submission import Choice, prepare
    from tui_lab.experiment.load import load

    for file, text in wanted:
        only = task_condition(args.filter_tasks, load(file, text).name)
        choice = Choice(only=only, rerun=redo, replace=args.replace)
        with noted(str(file)):
            prepared = prepare(lab, file, choice, text)
        with contextlib.redirect_stdout(sys.stderr):
            plan.show(prepared, everything=False)
    print("Run? [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return answer.strip().lower() in ("", "y", "yes") and bool(answer)


@contextlib.contextmanager
def _silence(quiet: bool) -> Iterator[None]:
    """Suppress messages; errors are still raised."""
    if not quiet:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
