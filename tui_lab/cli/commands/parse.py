"""`tui-lab parse`: read metrics from outputs again, or with other patterns. Nothing runs again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tui_lab.cli.options import FORMATS, Parser, add_common, add_json, lab_path, open_lab, print_json, relative
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE

if TYPE_CHECKING:
    import argparse

    from tui_lab.experiment.model import Experiment
    from tui_lab.results.tables import Results
    from tui_lab.store.experiment import ExperimentFolder

_EPILOG = """Without -p, the metrics of the experiment's file are used, if it still exists.

examples:
  tui-lab parse                                         the newest experiment, after an edit of its metrics
  tui-lab parse grid -p loss 'Loss: (@float@)'          a further metric, or another pattern for it
  tui-lab parse -e lab/grid -p loss 'Loss: (@float@)'   as in patas: also writes lab/grid/grid.csv
  tui-lab parse grid -p acc 'acc (@float@)' -n '^Epoch' a row for each epoch, in the table grid_rows
"""


def main(arguments: list[str]) -> int:
    """Run `tui-lab parse`; return the exit status."""
    parser = Parser("parse", description="Read metrics from the outputs again, or with other patterns.", epilog=_EPILOG)
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="default: the newest")
    parser.add_argument(
        "-e",
        dest="folder",
        metavar="DIR",
        help="the experiment's folder, as in lab/grid; writes DIR/NAME.csv, as patas does",
    )
    parser.add_argument(
        "-p",
        dest="patterns",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "REGEX"),
        help="a metric and its pattern",
    )
    parser.add_argument(
        "-n", dest="each", metavar="REGEX", help="begin a new row at each match: the table EXPERIMENT_rows"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the table there, in the format of its ending")
    parser.add_argument("--format", choices=FORMATS, help="format of -o, if its ending does not say it")
    parser.add_argument("--force", action="store_true", help="read every output again")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)
    if args.format and not args.output:
        parser.error("--format is for the file of -o")
    from tui_lab.results.export.output import Format, OutputError, choose_format, write

    path = Path(args.output) if args.output else None
    try:
        format: Format = args.format or choose_format(path, False)
    except OutputError as error:
        raise UsageError(str(error)) from None
    folder = choose(args)
    plan = folder.plan().number
    text, spec = wanted(folder, args)

    from tui_lab.client.reading import reading
    from tui_lab.results.tables import refresh

    # All that may fail comes before the metrics are kept: what can't be read would stay in the way.
    with reading(folder.name, quiet=args.json) as progress:
        results = refresh(folder, progress, force=args.force, spec=spec)
        rows = results.rows if results.spec.rows is not None else None
        if args.force:
            results.steps  # noqa: B018 (its cache is made anew)
        warnings = results.all_warnings
    if path is not None:
        try:
            write(results.grid if rows is None else rows, format, path)
        except OutputError as error:
            raise UsageError(str(error)) from None
    if text is not None:
        folder.write_metrics(text, plan)
    report(results, [str(warning) for warning in warnings], args.json)
    if args.folder is not None and not args.output:
        _write_for_patas(results)
    return DONE


def _write_for_patas(results: Results) -> None:
    """Write the table where patas writes it, with its names. A failure is only noted: the tables don't need it."""
    from tui_lab.results.export.output import OutputError, write
    from tui_lab.results.patas_names import patas_table

    path = results.folder.path / f"{results.name}.csv"
    try:
        write(patas_table(results), "csv", path)
    except OutputError as error:
        print(f"! {error}", file=sys.stderr)
    else:
        print(f"  the table, as patas names its columns: {relative(path)}", file=sys.stderr)


def choose(args: argparse.Namespace) -> ExperimentFolder:
    """Return the experiment. Raises UsageError, LabError."""
    from tui_lab.client.address import experiment_at, newest

    if args.folder is not None:
        if args.experiment is not None:
            raise UsageError("give the experiment once: by name, or by folder with -e")
        path = Path(args.folder)
        found = experiment_at(path, lab_path(args))
        if found is None:
            _refuse(path, lab_path(args))
        elif found != path.absolute():
            print(f"note: there is no {path}; this is {relative(found)}", file=sys.stderr)
        args.lab, args.experiment = (str(part) for part in ((found or path.absolute()).parent, path.absolute().name))
    lab = open_lab(args)
    return newest(lab) if args.experiment is None else lab.experiment(args.experiment)


def _refuse(path: Path, lab: Path) -> None:
    """Raises UsageError with what to type in place of a folder that is no experiment."""
    from tui_lab.store import layout
    from tui_lab.store.errors import LabError
    from tui_lab.store.lab import Lab

    place = path if (path / layout.LAB_FILE).exists() else lab
    try:
        names = [] if (path.parent / layout.LAB_FILE).exists() and place is lab else Lab.open(place).experiments()
    except LabError:
        names = []
    options = " or ".join(f"-e {relative(place / name)}" for name in reversed(names[-3:]))
    hint = f"; write {options}" if options else ""
    if (path / "info.yml").exists() or (path.parent / "info.yml").exists():
        raise UsageError(f"{path}: this folder is from patas; parse reads only experiments of tui-lab{hint}")
    if names:
        what = "is a lab, not an experiment" if place is path else "there is no experiment here"
        raise UsageError(f"{path}: {what}{hint}")


def wanted(folder: ExperimentFolder, args: argparse.Namespace) -> tuple[str | None, Experiment | None]:
    """Return the experiment with the metrics of the command line, or of its present file, as text and read; None where
    these are used already. Raises SpecError, UsageError."""
    from tui_lab.client.edited_metrics import edited_metrics, with_metrics
    from tui_lab.experiment.yaml.parser import parse

    if not args.patterns and args.each is None:
        return edited_metrics(folder) or (None, None)
    check_patterns(args)
    current = parse(folder.spec_text(), str(folder.file())).value
    metrics = dict(current.get("metrics") or {})
    for name, pattern in args.patterns:
        old = metrics.get(name)
        kept = {"unit", "goal", "type"}
        rest = {key: value for key, value in old.items() if key in kept} if isinstance(old, dict) else {}
        metrics[name] = {"pattern": pattern, **rest} if rest else pattern
    rows = {"each": args.each} if args.each is not None else current.get("rows")
    return with_metrics(folder, {"metrics": metrics, "rows": rows})


def check_patterns(args: argparse.Namespace) -> None:
    """Raises UsageError with the place of the mistake in a pattern of the command line."""
    from tui_lab.experiment.patterns.pattern import PatternError, compile_pattern

    for option, text in [*((f"-p {name}", pattern) for name, pattern in args.patterns), ("-n", args.each)]:
        if text is None:
            continue
        try:
            pattern = compile_pattern(text)
        except PatternError as error:
            place = "" if error.offset is None else f"\n  {text}\n  {' ' * error.offset}^"
            raise UsageError(f"{option}: {error}{place}") from None
        if option != "-n" and pattern.value == 0:
            raise UsageError(
                f"{option}: the pattern has no group for the value; put parentheses around it, as in 'loss (@float@)'"
            )


def report(results: Results, warnings: list[str], as_json: bool) -> None:
    """Print in how many tasks of the newest plan each metric was found, and hints for those found nowhere."""
    from tui_lab.client.formatting import plural

    grid = results.grid
    ended = results.planned["attempt"].count()
    earlier = results.tasks["attempt"].count() - ended
    if as_json:
        print_json(
            {
                "experiment": results.name,
                "tasks": ended,
                "read": results.read,
                "matched": results.matched,
                "warnings": warnings,
            }
        )
        return
    more = f" (and {earlier:,} of earlier plans or versions)" if earlier else ""
    print(
        f"{results.name}: {plural(ended, 'task')} ended{more}, {results.read:,} read now, {grid.height:,} in the table",
        file=sys.stderr,
    )
    for name, count in results.matched.items():
        print(f"  {name}: in {count:,} of {ended:,}", file=sys.stderr)
    for warning in warnings:
        print(f"! {warning}", file=sys.stderr)
