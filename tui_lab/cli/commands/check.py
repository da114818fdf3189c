"""`tui-lab check FILE|LAB...`: every mistake of the files and all damage of labs, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tui_lab.cli.options import Parser, add_common, add_json, examples, print_json
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE, USAGE

if TYPE_CHECKING:
    from tui_lab.experiment.yaml.problem import Problem


def main(arguments: list[str]) -> int:
    """Run `tui-lab check`; return the exit status."""
    parser = Parser(
        "check",
        description="Find every mistake in experiment files and cluster files, and every damaged file of labs.  "
        "Exit status 2 if it finds anything.",
        epilog=examples(
            ("tui-lab check *.yaml", "check these files"),
            ("tui-lab check lab", "check all files of a lab"),
            ("tui-lab check --repair lab", "repair what can be repaired"),
        ),
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE | LAB",
        help="experiment files; those with `nodes` are cluster files; folders are labs",
    )
    parser.add_argument("--repair", action="store_true", help="repair damaged files of labs; the old ones are kept")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.experiment.yaml.problem import SpecError

    paths = [Path(name) for name in args.files]
    if args.repair and (files := [path for path in paths if not path.is_dir()]):
        raise UsageError(f"{files[0]}: --repair is for labs")
    problems: list[Problem] = []
    for path in paths:
        try:
            said = _checked_lab(path, args.repair, problems) if path.is_dir() else _checked(path)
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


def _checked_lab(path: Path, repair: bool, problems: list[Problem]) -> list[str]:
    """Return the line for a lab; its damage is added to the problems. Raises LabError."""
    from tui_lab.client.engine_lock import take_lock
    from tui_lab.client.formatting import plural
    from tui_lab.client.repair import findings, repair_lab
    from tui_lab.experiment.yaml.problem import Problem
    from tui_lab.store.lab import Lab

    said: list[str] = []
    if repair and (made := Lab.repair(path)):
        said.append(made)
    lab = Lab.open(path)
    if repair:
        lock = take_lock(lab)
        try:
            said += repair_lab(lab)
        finally:
            lock.release()
    found = findings(lab)
    problems += [Problem(str(one.file), one.line, 1 if one.line else 0, one.what, one.way) for one in found]
    if not found:
        return [*said, f"{path}: {plural(len(lab.experiments()), 'experiment')}, nothing is damaged"]
    return [*said, *map(str, found)]


def _checked(path: Path) -> list[str]:
    """Return the line for a file without mistakes. Raises SpecError."""
    from tui_lab.client.formatting import plural
    from tui_lab.client.reading import noted
    from tui_lab.client.submission import Choice, prepare
    from tui_lab.experiment.cluster.reader import is_cluster, load_cluster

    with noted(str(path)):
        if is_cluster(path):
            return [f"{path}: a cluster of {plural(len(load_cluster(path).nodes), 'node')}, no mistakes"]
        prepared = prepare(None, path, Choice())
    count = plural(prepared.plan.tasks.height, "task")
    notes = [f"note: {notice}" for notice in prepared.notices]
    return [*notes, f"{path}: {prepared.experiment.name}: {count}, no mistakes"]
