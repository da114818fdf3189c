"""`tui-lab query SQL`: query the results of a lab."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui_lab.cli.options import FORMATS, Parser, add_common, lab_to_read, print_json
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE, USAGE
from tui_lab.experiment.expressions.bounded import bounded

if TYPE_CHECKING:
    import polars as pl

    from tui_lab.experiment.domains.model import Value
    from tui_lab.store.lab import Lab

ROWS: Final = 1_000_000
_EPILOG: Final = """tables:
  NAME          the done tasks of experiment NAME: parameters, metrics, facts
  NAME_tasks    every task ever, with state and reason
  NAME_steps    values by step; NAME_rows: the rows that `rows` finds
  results       NAME of the experiment submitted last
  'FILE'        a CSV, JSON or Parquet file of the lab

words instead of SQL (in SQL: FROM best('METRIC'), compare('A', 'B'), ...):
  best [METRIC] [EXPERIMENT]     settings, best mean first
  compare A B, compare A@1 A@2   two experiments, or two versions of one, where parameters are equal
  failures [EXPERIMENT]          what failed, and why
  slowest [EXPERIMENT] [N]       the tasks that took longest
  @NAME                          a saved query
  .schema [TABLE]                tables and columns, with types and units

functions: ci95(x), half of the 95 % confidence interval of the mean; sd(x), se(x), n(x); mean(x) and all of DuckDB's

examples:
  tui-lab query 'SELECT * FROM grid LIMIT 5'
  tui-lab query 'SELECT activation, mean(test_acc), ci95(test_acc) FROM grid GROUP BY ALL' -m
  tui-lab query "SELECT reason, count(*) FROM grid_tasks WHERE state = 'failed' GROUP BY ALL"
  tui-lab query --save slow 'SELECT * FROM results WHERE duration > $seconds'
  tui-lab query @slow --param seconds=10
"""


def main(arguments: list[str]) -> int:
    """Run `tui-lab query`; return the exit status."""
    parser = Parser("query", description="Query the results with SQL (DuckDB's), also during a run.", epilog=_EPILOG)
    parser.add_argument("words", nargs="*", metavar="SQL", help="one SELECT; - reads it from standard input")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a value for $NAME in the query"
    )
    parser.add_argument("--save", metavar="NAME", help="keep the query in the lab; @NAME runs it")
    parser.add_argument("--saved", action="store_true", help="list the saved queries")
    parser.add_argument(
        "--limit", type=_count, default=ROWS, metavar="N", help="rows at most (default: 1000000; 0: all)"
    )
    parser.add_argument("--memory", metavar="SIZE", help="memory at most, 4GB or 30%% (default: 50%%)")
    parser.add_argument(
        "--format", choices=FORMATS, help="default: by the ending of -o; a table on a terminal; else CSV"
    )
    parser.add_argument("-m", "--markdown", action="store_true", help="the same as --format markdown")
    parser.add_argument("--json", action="store_true", help="one JSON object: `columns` with their types, and `rows`")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there")
    parser.add_argument("-i", "--input", dest="lab", metavar="DIR", help="the same as --lab")
    add_common(parser)
    args = parser.parse_args(arguments)
    if args.json and (args.format or args.markdown or args.output):
        parser.error("--json can't be combined with --format, -m or -o")
    if not args.words and not args.saved:
        parser.error("the following arguments are required: SQL")

    import orjson

    from tui_lab.client.reading import noted
    from tui_lab.results.export.output import Format, OutputError, choose_format, objects, write
    from tui_lab.results.sql.database import QueryError

    output = Path(args.output) if args.output else None
    try:
        chosen: Format | None = "markdown" if args.markdown else args.format
        if output is not None:
            chosen = chosen or choose_format(output, False)
        lab = lab_to_read(args)
        with noted(lab.path.name):
            answer = _answer(lab, args)
        if answer is None:
            return DONE
        if args.json:
            columns = [{"name": name, "type": str(dtype)} for name, dtype in answer.schema.items()]
            print_json({"columns": columns, "rows": [orjson.Fragment(row) for row in objects(answer)]})
            return DONE
        note = write(answer, chosen, output)
    except QueryError as error:
        print(f"tui-lab query: {error}", file=sys.stderr)
        return USAGE
    except OutputError as error:
        raise UsageError(str(error)) from None
    if note:
        print(note, file=sys.stderr)
    return DONE


def _answer(lab: Lab, args: argparse.Namespace) -> pl.DataFrame | None:
    """Return the table to print; None where there is none. Raises QueryError."""
    import polars as pl

    from tui_lab.results.sql import saved_queries
    from tui_lab.results.sql.connection import MEMORY
    from tui_lab.results.sql.database import Database

    if args.saved:
        found = saved_queries.saved(lab)
        return pl.DataFrame({"name": list(found), "query": [text.strip() for text in found.values()]})
    with Database(lab, memory=args.memory or MEMORY) as database:
        if args.words[0].startswith("."):
            typed: list[str] = [*args.words[0].split(maxsplit=1), *args.words[1:]]
            command, rest = typed[0], typed[1:]
            if command != ".schema":
                raise UsageError(f"query knows no {command}; .schema lists the tables and their columns")
            from tui_lab.results.sql.schema import schema

            return schema(database, _single(rest) if rest else None)
        sql = _sql(lab, args.words)
        if args.save:
            database.check(sql)
            path = saved_queries.save(lab, args.save, sql)
            print(f"saved as {path}; tui-lab query @{args.save} runs it", file=sys.stderr)
            return None
        parameters = _parameters(args.param)
        return bounded(lambda: database.query(sql, _warn, parameters, args.limit), database.interrupt)


def _sql(lab: Lab, words: list[str]) -> str:
    from tui_lab.results.sql import macros, saved_queries

    asked = macros.as_query(words)
    if asked is not None:
        return asked
    word = _single(words)
    if word == "-":
        return sys.stdin.read()
    return saved_queries.read(lab, word[1:]) if word.startswith("@") else word


def _single(words: list[str]) -> str:
    if len(words) > 1:
        value = f"; for a value of the query: --param {words[1]}" if re.match(r"[A-Za-z_]\w*=", words[1]) else ""
        raise UsageError(f"query takes one query, in quotes, and got more: {words[1]!r}{value}")
    return words[0]


def _parameters(assignments: list[str]) -> dict[str, Value]:
    from tui_lab.experiment.yaml import parser

    found: dict[str, Value] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--param {assignment}: it has the form NAME=VALUE")
        found[name] = parser.resolve(text)
    return found


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not a number of rows")
    return int(text)


def _warn(text: str) -> None:
    hint = ": --limit 0 shows all" if text.startswith("these are the first") else ""
    print(f"note: {text}{hint}", file=sys.stderr)
