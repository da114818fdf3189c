"""`tui-lab check FILE...`: every mistake of the files, without running anything."""

from __future__ import annotations

from pathlib import Path

from tui_lab.cli.main import DONE, USAGE
from tui_lab.cli.options import Parser, add_common, add_json, examples, print_json


def main(arguments: list[str]) -> int:
    parser = Parser(
        "check",
        description="Find every mistake in experiment files and cluster files. Exit status 2 where there is one.",
        epilog=examples(("tui-lab check *.yaml", "what is wrong with these files")),
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="experiment files; those with `nodes` are cluster files"
    )
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.spec.problem import Problem, SpecError

    problems: list[Problem] = []
    for name in args.files:
        try:
            said = _checked(Path(name))
        except SpecError as error:
            problems += error.problems
            said = list(map(str, error.problems))
        if not args.json:
            print(*said, sep="\n")
    if args.json:
        shown = [
            {"file": p.file, "line": p.line, "column": p.column, "message": p.message, "hint": p.hint} for p in problems
        ]
        print_json({"problems": shown})
    return USAGE if problems else DONE


def _checked(path: Path) -> list[str]:
    """What there is to say of a file without mistakes. Raises SpecError."""
    from tui_lab.cli.submission import Choice, prepare
    from tui_lab.cli.text import plural
    from tui_lab.spec.read_cluster import is_cluster, load_cluster

    if is_cluster(path):
        return [f"{path}: a cluster of {plural(len(load_cluster(path).nodes), 'node')}, no mistakes"]
    prepared = prepare(None, path, Choice())
    count = plural(prepared.plan.tasks.height, "task")
    notes = [f"note: {notice}" for notice in prepared.notices]
    return [*notes, f"{path}: {prepared.experiment.name}: {count}, no mistakes"]
