"""`tui-lab check FILE...`: every mistake of the files, without running anything."""

from __future__ import annotations

from pathlib import Path

from tui_lab.cli.main import DONE, USAGE
from tui_lab.cli.options import Parser, add_common, add_json, examples, print_json


def main(arguments: list[str]) -> int:
    parser = Parser(
        "check",
        description="Find every mistake in experiment files. Exit status 2 where there is one.",
        epilog=examples(("tui-lab check *.yaml", "what is wrong with these files")),
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="experiment files")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.cli.submission import Choice, prepare
    from tui_lab.cli.text import plural
    from tui_lab.spec.problem import Problem, SpecError

    problems: list[Problem] = []
    for name in args.files:
        try:
            prepared = prepare(None, Path(name), Choice())
        except SpecError as error:
            problems += error.problems
            if not args.json:
                print(*error.problems, sep="\n")
            continue
        if not args.json:
            for notice in prepared.notices:
                print(f"note: {notice}")
            count = plural(prepared.plan.tasks.height, "task")
            print(f"{name}: {prepared.experiment.name}: {count}, no mistakes")
    if args.json:
        shown = [
            {"file": p.file, "line": p.line, "column": p.column, "message": p.message, "hint": p.hint} for p in problems
        ]
        print_json({"problems": shown})
    return USAGE if problems else DONE
