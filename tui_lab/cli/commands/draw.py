"""`tui-lab draw KIND`: draw charts of the results, in the terminal or as files."""

from __future__ import annotations

import argparse
import copy
import math
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tui_lab.cli import negative
from tui_lab.cli.options import FORMATS, Parser, add_common, lab_path, open_lab, read_goals
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.results.charts.registry import KINDS, OWN, kind_of
from tui_lab.results.terminal.guard import own

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui_lab.results.charts.model import Chart, Goal, Request, Role, Source

AGGREGATES: Final = ("mean", "median", "sum", "std", "product", "min", "max", "count")
_ROLES: Final = ("x", "y", "z", "hue", "style")
_RANGES: Final[dict[Role, str]] = {
    "x": "limits of the x axis: numbers, or dates such as 2026-05-17",
    "y": "limits of the y axis; without it bars begin at 0",
    "z": "limits of the colours of a heatmap or surface",
}
_TALLEST: Final = 32  # lines of a chart, however tall the terminal is
_KINDS: Final = "".join(f"  {name:<12} {about}\n" for name, about in OWN.items())
_EPILOG = f"""kinds:
{_KINDS}
If no columns are named: x is the parameter with most values, y the first metric, hue
the parameter that explains most of y. in_NAME and out_NAME find NAME, too.

A CODE is a SQL expression over X, Y, Z, H (hue), S (style) and all columns: 'X / 1000', 'log10(loss)'.

errors: sd, the standard deviation; se, the standard error; pi, 95 % of the values; ci, the 95 % confidence
interval (Student's t for a mean or sum, else 1000 resamples); none.

examples:
  tui-lab draw lines                                        the newest experiment, with columns chosen for it
  tui-lab draw heatmap grid -o heatmap.png --annot          a picture: PNG, SVG or PDF
  tui-lab draw lines --x-column neurons --y-column loss --hue-column activation --log y
  tui-lab draw scatter --sql 'SELECT train_acc, test_acc FROM grid'
  tui-lab draw steps --follow                               learning curves while the tasks run
  tui-lab draw categories --x-column activation --table -o means.csv
"""


def parser() -> Parser:
    """Return the parser of `tui-lab draw`, which the screen uses as well."""
    it = Parser("draw", description="Draw results in the terminal, or into a file.", epilog=_EPILOG)
    it.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(OWN))
    it.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="default: the newest")
    it.add_argument("--sql", metavar="QUERY", help="draw the rows of a query")
    it.add_argument("--input", metavar="FILE", help="draw the rows of a CSV or Parquet file, or of LAB/NAME/NAME.csv")
    it.add_argument(
        "-o", "--output", metavar="FILE", help="write a picture there (.png .svg .pdf .html), or text (.txt)"
    )
    it.add_argument("--follow", action="store_true", help="update the chart until the run ends")
    it.add_argument("--table", action="store_true", help="print the data of the chart as a table")
    it.add_argument(
        "--format", choices=FORMATS, help="format of --table; default: by the ending of -o, else as in query"
    )
    for role in _ROLES:
        it.add_argument(f"--{role}-column", metavar="NAME")
    for role in _ROLES:
        it.add_argument(f"--{role}-change", metavar="CODE", help="a SQL expression in place of the column's values")
    it.add_argument("--title", metavar="TEXT")
    for label in ("x", "y", "z", "legend"):
        it.add_argument(f"--{label}-label", metavar="TEXT")
    it.add_argument("--aggfunc", choices=AGGREGATES, default="mean", help="how values are combined (default: mean)")
    it.add_argument("--errorbar", choices=("sd", "se", "pi", "ci", "none"), default="ci", help="default: ci")
    it.add_argument(
        "--err-style", choices=("band", "bars"), default="band", help="how lines show the error; default: band"
    )
    it.add_argument("--log", choices=("x", "y", "xy"), action="append", default=[], help="logarithmic axes")
    it.add_argument("--bins", type=_positive, metavar="N", help="bins of a hist; default: chosen from the values")
    it.add_argument("--annot", action="store_true", help="write the values into the cells of a heatmap")
    it.add_argument("--fmt", metavar="CODE", help="format of these values: .2f, .1%% (default: three digits or more)")
    for role, what in _RANGES.items():
        it.add_argument(f"--{role}-range", nargs=2, type=_place, metavar=("MIN", "MAX"), help=what)
    it.add_argument(
        "--fit-bars", action="store_true", help="begin bars near the least one, not at 0; the chart says so"
    )
    it.add_argument(
        "--goal",
        action="append",
        default=[],
        metavar="M=min|max",
        help="for pareto and surface: what is better, if the file does not say (M=min,M=max,...)",
    )
    it.add_argument(
        "--fig-size",
        nargs=2,
        type=_inches,
        metavar=("W", "H"),
        help="size of a picture, in inches (default: 10 7)",
    )
    it.add_argument("--ascii", action="store_true", help="draw with ASCII characters only; texts of the data stay")
    add_common(it)
    return it


def _positive(text: str) -> int:
    word = negative.text(text)
    if not word.isdecimal() or not 1 <= int(word) <= 100_000:
        raise argparse.ArgumentTypeError(f"{word}: a whole number from 1 to 100,000 is needed")
    return int(word)


def _place(text: str) -> float:
    """Return a number, or a date or time as seconds since 1970."""
    word = negative.text(text)
    try:
        found = float(word)
    except ValueError:
        moment = datetime.fromisoformat(word)
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(found):
        raise ValueError(text)
    return found


def _inches(text: str) -> float:
    number = float(text)
    if not 0 < number <= 200:
        raise ValueError(text)
    return number


def main(arguments: list[str]) -> int:
    """Run `tui-lab draw`; return the exit status."""
    args = parser().parse_args(negative.protect(arguments))

    from tui_lab.results.charts.making import make
    from tui_lab.results.charts.model import ChartError, NothingToDraw

    def once() -> Chart:
        mine = copy.deepcopy(args)
        source = read_source(mine)
        if args.follow and not source.frame.height:
            raise NothingToDraw("nothing to draw: the source has no values")
        return make(read_request(mine, source), source)

    try:
        if args.follow:
            chart = _follow(args, once)
        else:
            chart = once()
            show(chart, args)
        for note in chart.notes:
            print(f"note: {note}", file=sys.stderr)
    except ChartError as error:
        raise UsageError(f"draw: {error}") from None
    return DONE


def _follow(args: argparse.Namespace, once: Callable[[], Chart]) -> Chart:
    """Draw until the run is over; return the last chart."""
    from tui_lab.cli.output.chart_follower import Place, follow
    from tui_lab.client.address import newest

    if args.sql is not None or args.input is not None:
        raise UsageError("draw --follow needs an experiment; it can't follow --sql or --input")
    lab = open_lab(args)
    folder = newest(lab) if args.experiment is None else lab.experiment(args.experiment)
    args.experiment = folder.name
    drawn: list[Chart] = []
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    place = Place() if terminal and not args.output and not args.table else None

    def put(chart: Chart) -> None:
        drawn[:] = [chart]
        if place is not None:
            place.put(_as_text(chart, args))
        elif args.output:
            show(chart, args)

    follow(lab, folder, once, put)
    if place is None and not args.output:
        show(drawn[0], args)
    return drawn[0]


# --- What is drawn


def read_source(args: argparse.Namespace) -> Source:
    """Return the rows of an experiment, a query or a file. Raises UsageError, LabError, ChartError."""
    from tui_lab.results.charts.model import Source

    given = [name for name in ("experiment", "sql", "input") if getattr(args, name) is not None]
    if len(given) > 1:
        raise UsageError(f"draw takes one source, and got {' and '.join(given)}")
    if args.sql is not None:
        return Source(_query(args))
    if args.input is not None:
        from tui_lab.client.address import experiment_at

        path = Path(args.input)
        # The table that `parse -e` writes, as it is now.
        found = experiment_at(path.parent, lab_path(args)) if path.name == f"{path.parent.name}.csv" else None
        if found is None:
            return Source(_file(path), name=path.stem)
        args.lab, args.experiment = str(found.parent), found.name
    return _experiment(args)


def _query(args: argparse.Namespace) -> Any:
    from tui_lab.results.sql.database import QueryError, query

    sql = sys.stdin.read() if args.sql == "-" else args.sql
    try:
        return query(open_lab(args), sql)
    except QueryError as error:
        raise UsageError(f"draw --sql: {error}") from None


def _file(path: Path) -> Any:
    from tui_lab.results.charts.model import ChartError
    from tui_lab.results.sql.table_file import TableFileError, read_table

    try:
        return read_table(path)
    except TableFileError as error:
        raise ChartError(str(error)) from None


def _experiment(args: argparse.Namespace) -> Source:
    from tui_lab.client.address import newest
    from tui_lab.client.reading import reading
    from tui_lab.results import patas_names
    from tui_lab.results.charts.sources import source_of
    from tui_lab.results.tables import refresh

    lab = open_lab(args)
    folder = newest(lab) if args.experiment is None else lab.experiment(args.experiment)
    steps = kind_of(args.kind).of_steps
    with reading(folder.name, quiet=args.follow) as progress:
        results = refresh(folder, progress, live=steps)
        source, goals = source_of(results, args.kind)
    for line in () if args.follow else results.left_out("steps" if steps else "", planned=True):
        print(f"note: {line}", file=sys.stderr)
    asked = {str(value).lower() for key, value in vars(args).items() if key.endswith("_column")}
    frame = patas_names.with_patas_names(source.frame, results, asked & patas_names.NAMES)
    args.goal[:0] = [f"{name}={goal}" for name, goal in reversed(goals.items())]
    return replace(source, frame=frame)


def read_request(args: argparse.Namespace, source: Source) -> Request:
    """Raises UsageError, ChartError."""
    from tui_lab.results.charts.choice import find
    from tui_lab.results.charts.model import Request

    goals: dict[str, Goal] = {}
    for name, goal in read_goals(args.goal):
        goals[find(name, source.frame.columns)] = goal
    kind = kind_of(args.kind)
    labels: dict[Any, str] = {"x": args.x_label, "y": args.y_label, "z": args.z_label}
    labels |= {"title": args.title, "legend": args.legend_label}
    values = vars(args)
    return Request(
        kind.name,
        columns={role: values[f"{role}_column"] for role in _ROLES if values[f"{role}_column"] is not None},
        changes={role: values[f"{role}_change"] for role in _ROLES if values[f"{role}_change"] is not None},
        labels={name: text for name, text in labels.items() if text is not None},
        aggregate=args.aggfunc,
        error=args.errorbar,
        error_style=args.err_style,
        log=None if kind.scaled and not args.log else frozenset(axis for given in args.log for axis in given),
        fit=args.fit_bars,
        bins=args.bins,
        annotate=args.annot or None,
        number_format=args.fmt if args.fmt is None else _number_format(args.fmt),
        ranges={role: tuple(values[f"{role}_range"]) for role in _RANGES if values[f"{role}_range"] is not None},
        goals=goals,
    )


def _number_format(code: str) -> str:
    """Raises UsageError for a format that floats don't have."""
    try:
        format(1.5, code)
    except ValueError:
        raise UsageError(f"draw --fmt {code}: not a format of a number; examples are .2f, .0f, .3g, .1%") from None
    return code


# --- Where it goes


def show(chart: Chart, args: argparse.Namespace) -> None:
    """Print the chart or its table, or write a file. Raises UsageError, ChartError."""
    file = Path(args.output) if args.output else None
    if args.table:
        from tui_lab.results.export.output import OutputError, write

        try:
            note = write(chart.table, args.format, file)
        except OutputError as error:
            raise UsageError(str(error)) from None
        if note:
            print(note, file=sys.stderr)
    elif file is not None and file.suffix.lower() != ".txt":
        from tui_lab.results.charts import files

        files.write(chart, file, tuple(args.fig_size) if args.fig_size else files.SIZE)
    elif file is not None:
        file.write_text(_as_text(chart, args), encoding="utf-8")
    else:
        own(sys.stdout).write(_as_text(chart, args))


def _as_text(chart: Chart, args: argparse.Namespace) -> str:
    from tui_lab.results.charts.terminal.draw import draw
    from tui_lab.results.charts.terminal.style import Look
    from tui_lab.results.terminal.glyphs import shows_signs

    width, height = shutil.get_terminal_size()
    color = not args.output and colored()
    ascii_only = args.ascii or (not args.output and not shows_signs(sys.stdout))
    return draw(chart, width, min(height - 1, _TALLEST), Look(color, ascii_only)) + "\n"


def colored() -> bool:
    """Return whether standard output takes colours: a terminal, unless NO_COLOR or TERM forbid it; or FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
