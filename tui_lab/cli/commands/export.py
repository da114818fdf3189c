"""`tui-lab export`: the results as a file for other tools, or as a table for a paper."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tui_lab.cli.options import FORMATS as ALL_FORMATS
from tui_lab.cli.options import Parser, add_common, examples, lab_to_read
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.experiment.data_types import JsonObject

if TYPE_CHECKING:
    import polars as pl

    from tui_lab.results.tables import Results

FORMATS: Final = tuple(format for format in ALL_FORMATS if format != "table")
_EPILOG: Final = (
    examples(
        ("tui-lab export -o grid.parquet", "every done task, with types and units"),
        ("tui-lab export -o table.md", "a row per setting: mean ± interval, best in bold"),
        ("tui-lab export --settings -o s.csv", "all statistics of `tui-lab stats`"),
    )
    + "\nThe metadata of a Parquet file describes each column: key `tui_lab`, JSON."
)


def main(arguments: list[str]) -> int:
    """Run `tui-lab export`; return the exit status."""
    parser = Parser("export", description="Write the results for other tools.", epilog=_EPILOG)
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="default: the newest")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output, as CSV")
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of FILE")
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--tasks", action="store_true", help="done tasks (default, but for Markdown)")
    table.add_argument("--all", action="store_true", help="every task ever, with its state")
    table.add_argument("--steps", action="store_true", help="values by step")
    table.add_argument("--rows", action="store_true", help="the rows that `rows` finds")
    table.add_argument("--settings", action="store_true", help="statistics: a row per setting and metric")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.address import newest
    from tui_lab.client.reading import reading
    from tui_lab.results.export.output import OutputError, choose_format
    from tui_lab.results.statistics.errors import StatisticsError
    from tui_lab.results.tables import refresh

    file = Path(args.output) if args.output else None
    lab = lab_to_read(args)
    folder = lab.experiment(args.experiment) if args.experiment else newest(lab)
    try:
        format = args.format or choose_format(file, False)
        if format == "table":
            raise UsageError(f"{file}: export writes no text tables; `tui-lab query` and `stats` do")
        with reading(folder.name) as progress:
            results = refresh(folder, progress)
        _write(results, args, format, file)
    except (StatisticsError, OutputError) as error:
        raise UsageError(str(error)) from None
    return DONE


def _write(results: Results, args: argparse.Namespace, format: Any, file: Path | None) -> None:
    from tui_lab.results.export import described

    tasks = args.tasks or args.all or args.steps or args.rows
    about: JsonObject = {"experiment": results.name}
    if args.settings or (format == "markdown" and not tasks):
        from tui_lab.results.statistics.frame import frame
        from tui_lab.results.statistics.report import make

        report = make(results)
        table = described.paper_table(report) if format == "markdown" else frame(report)
        described.write_described(table, format, file, about, described.describe_statistics(report, table))
        return
    table = _table(results, args)
    about["table"] = "steps" if args.steps else "rows" if args.rows else "tasks"
    described.write_described(table, format, file, about, described.describe_columns(results, table.columns))


def _table(results: Results, args: argparse.Namespace) -> pl.DataFrame:
    if args.all:
        return results.tasks
    if args.steps:
        return results.steps
    return results.rows if args.rows else results.grid
