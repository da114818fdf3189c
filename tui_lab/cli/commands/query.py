"""`tui-lab query SQL`: ask the results of a lab."""

from __future__ import annotations

import sys
from pathlib import Path

from tui_lab.cli.errors import UsageError
from tui_lab.cli.main import DONE, USAGE
from tui_lab.cli.options import Parser, add_common, open_lab

FORMATS = ("table", "csv", "tsv", "json", "jsonl", "parquet", "markdown")
_EPILOG = """tables:
  NAME          the done tasks of experiment NAME: parameters, metrics, facts
  NAME_tasks    every task ever, with state and reason
  NAME_steps    values by step; NAME_rows: the rows that `rows` finds
  results       NAME of the experiment submitted last
  'FILE'        a CSV, JSON or Parquet file of the lab

examples:
  tui-lab query 'SELECT * FROM grid LIMIT 5'
  tui-lab query 'SELECT activation, avg(test_acc) FROM grid GROUP BY ALL' -m
  tui-lab query "SELECT reason, count(*) FROM grid_tasks WHERE state = 'failed' GROUP BY ALL"
"""


def main(arguments: list[str]) -> int:
    parser = Parser("query", description="Ask the results with SQL (DuckDB's). Also while a run is going.", epilog=_EPILOG)
    parser.add_argument("sql", metavar="SQL", help="one SELECT; - reads it from standard input")
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of -o; a table on a terminal; else CSV")
    parser.add_argument("-m", "--markdown", action="store_true", help="the same as --format markdown")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there")
    parser.add_argument("-i", "--input", dest="lab", metavar="DIR", help="the same as --lab")
    add_common(parser)
    args = parser.parse_args(arguments)
    sql = sys.stdin.read() if args.sql == "-" else args.sql

    from tui_lab.results.output import Format, OutputError, write
    from tui_lab.results.sql import QueryError, query

    try:
        answer = query(open_lab(args), sql, warn=lambda text: print(f"note: {text}", file=sys.stderr))
        chosen: Format | None = "markdown" if args.markdown else args.format
        note = write(answer, chosen, Path(args.output) if args.output else None)
    except QueryError as error:
        print(f"tui-lab query: {error}", file=sys.stderr)
        return USAGE
    except OutputError as error:
        raise UsageError(str(error)) from None
    if note:
        print(note, file=sys.stderr)
    return DONE
