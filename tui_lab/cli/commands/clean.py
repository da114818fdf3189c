"""`tui-lab clean`: remove old outputs. Says what it would do, and does it with --yes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tui_lab.cli.options import Parser, add_common, add_json, choose_experiments, open_lab, print_json
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE, INFRASTRUCTURE
from tui_lab.protocol.control import AskStatus, CleanedNode, CleanNodes

if TYPE_CHECKING:
    import polars as pl

    from tui_lab.store.events import Cleaned, FilesRemoved
    from tui_lab.store.experiment import ExperimentFolder


_EPILOG = """Without --attempts or --files whole tasks are removed: their folders are deleted, and
they are pending again. With --unplanned and --old-versions so are runs of stages that no
other task has used.
Several conditions are joined by AND. At least one is required.

examples:
  tui-lab clean grid --unplanned                 tasks that the newest plan does not have
  tui-lab clean grid --state failed,lost --yes   run these again from the beginning
  tui-lab clean grid --old-versions              what --rerun has replaced
  tui-lab clean grid --attempts                  outputs of attempts that do not count
  tui-lab clean grid --files '*.pt' --where "test_acc < 0.9"
  tui-lab clean --nodes --yes                    agents, spools and homes that interrupted runs left on nodes
"""


def main(arguments: list[str]) -> int:
    """Run `tui-lab clean`; return the exit status."""
    parser = Parser("clean", description="Remove old outputs.", epilog=_EPILOG)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    parser.add_argument("--state", metavar="STATE,...", help="tasks in these states")
    parser.add_argument("--unplanned", action="store_true", help="tasks that are not in the newest plan")
    parser.add_argument("--old-versions", action="store_true", help="tasks that have a newer version")
    parser.add_argument("--where", metavar="SQL", help="tasks for which this is true; it may name metrics")
    parser.add_argument("--attempts", action="store_true", help="only the outputs of attempts that do not count")
    parser.add_argument("--files", metavar="GLOB", help="only the files of the tasks that match")
    parser.add_argument("--nodes", action="store_true", help="instead: the files that interrupted runs left on nodes")
    parser.add_argument("--yes", action="store_true", help="do it")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)
    conditions = (args.state, args.unplanned, args.old_versions, args.where, args.attempts, args.files)
    if args.nodes:
        if args.experiments or any(conditions):
            raise UsageError("clean --nodes cleans the whole lab: of the other options it takes only --yes")
        return clean_nodes(args)
    if not args.experiments:
        raise UsageError("clean: which experiment? As in: tui-lab clean grid --state failed")
    if not any(conditions):
        raise UsageError("clean: say what to remove, for example --state failed; see tui-lab clean --help")

    from tui_lab.client.engine_lock import take_lock

    lab = open_lab(args)
    lock = take_lock(lab) if args.yes else None
    try:
        stuck = [clean(folder, args) for folder in choose_experiments(lab, args.experiments)]
    finally:
        if lock is not None:
            lock.release()
    return INFRASTRUCTURE if any(stuck) else DONE


def clean_nodes(args: argparse.Namespace) -> int:
    """Remove what the lab has on its nodes while nothing runs there. Without --yes, only name the nodes: their files
    are not known here."""
    from tui_lab.client.formatting import printable
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.errors import LabError

    lab = open_lab(args)
    names = used_nodes(choose_experiments(lab, []))
    found: list[CleanedNode] = []
    if args.yes and names:
        client = EngineClient.start(lab)
        if active := client.request(AskStatus()).active:
            raise LabError(f"{', '.join(active)} is running in this lab", "wait for it, or `tui-lab stop` it first")
        found = client.request(CleanNodes(dict(os.environ))).nodes
        client.close()
    if args.json:
        print_json({"lab": str(lab.path), "nodes": found if args.yes else names, "removed": args.yes})
    elif not names:
        print(f"{lab.path}: nothing has run on a node")
    elif not args.yes:
        print(f"would remove the lab's agents, spools and homes on {', '.join(names)}; --yes does it")
    for node in found if not args.json else ():
        removed = [printable(path) for path in node.removed]
        print(f"{node.name}: {'removed ' + ', '.join(removed) if removed else 'nothing was left'}")
        if node.error:
            print(f"! {node.name}: {printable(node.error)}", file=sys.stderr)
    return INFRASTRUCTURE if any(node.error for node in found) else DONE


def used_nodes(folders: list[ExperimentFolder]) -> list[str]:
    """Return the nodes that were given tasks, or were to be."""
    names: dict[str, None] = {}
    for folder in folders:
        state = folder.state()
        for submission in state.submissions:
            names.update(dict.fromkeys(node["name"] for node in submission.nodes))
        names.update(dict.fromkeys(state.nodes))
    return list(names)


def clean(folder: ExperimentFolder, args: argparse.Namespace) -> bool:
    """Find what to remove, print it, and with --yes remove it. Return whether something could not be removed."""
    from tui_lab.client.formatting import plural, printable, size
    from tui_lab.client.formatting import runs as of_stages
    from tui_lab.client.stage_runs import only_for
    from tui_lab.store.events import Cleaned, FilesRemoved
    from tui_lab.store.task_files import TaskFile, matching

    tasks = chosen(folder, args)
    whole = not args.attempts and not args.files
    paths: dict[Path, int] = {}  # and how many bytes they hold
    touched: list[int] = []  # tasks that lose some of their files
    for task, attempt in tasks.select("task_id", "attempt").rows():
        place = folder.task_folder(task)
        if whole:
            paths |= {place: _whole_size(place)} if os.path.lexists(place) else {}
        else:
            names = list(_stale_attempts(place, attempt)) if args.attempts else []
            found = matching(str(place), args.files) if args.files else []
            touched += [task] if found else []
            names += found
            paths |= {place / name: TaskFile(str(place), name).size or 0 for name in names}
    runs = only_for(folder, tasks["task_id"].to_list()) if whole and not (args.state or args.where) else []
    for run in runs:
        place = folder.task_folder(run)
        paths |= {place: _whole_size(place)} if os.path.lexists(place) else {}
    amount = sum(paths.values())
    stuck: list[str] = []
    if args.yes:
        if whole and (tasks.height or runs):
            _journal(folder, Cleaned, [*tasks["task_id"], *runs])
        if touched and folder.state().steps.columns:
            _journal(folder, FilesRemoved, touched)
        stuck = [why for path in paths if (why := _remove(folder, path))]
    if args.json:
        print_json(
            {
                "experiment": folder.name,
                "tasks": tasks.height,
                "paths": len(paths),
                "bytes": amount,
                "removed": args.yes and not stuck,
                "errors": stuck,
            }
        )
        return bool(stuck)
    what = plural(tasks.height, "task") if whole else plural(len(paths), "file")
    what += f" and {of_stages(len(runs))}" if runs else ""
    done = "removed" if args.yes else "would remove"
    print(f"{folder.name}: {done} {what}, {size(amount)}" + ("" if args.yes else "; --yes does it"))
    if not args.yes:
        for path in list(paths)[:5]:
            print(f"  {path}")
        if len(paths) > 5:
            print(f"  and {len(paths) - 5:,} more")
    for why in stuck:
        print(f"! {printable(why)}", file=sys.stderr)
    return bool(stuck)


def chosen(folder: ExperimentFolder, args: argparse.Namespace) -> pl.DataFrame:
    """Return the tasks that meet all conditions. Raises UsageError."""
    import polars as pl

    from tui_lab.client.address import matching, task_table
    from tui_lab.experiment.yaml.problem import suggest
    from tui_lab.store.fold import STATES

    table = task_table(folder, args.where) if args.where else folder.tasks()
    if args.where:
        table = table.filter(matching(args.where, table))
    if args.state:
        states = args.state.split(",")
        for state in states:
            if state not in STATES:
                raise UsageError(
                    f'there is no state "{state}"; {suggest(state, STATES) or "it is one of " + ", ".join(STATES)}'
                )
        table = table.filter(pl.col("state").is_in(states))
    if args.unplanned:
        table = table.filter(~pl.col("planned"))
    if args.old_versions:
        table = table.filter(pl.col("task_id").is_in(superseded(folder)))
    return table.filter(pl.col("state") != "running")


def superseded(folder: ExperimentFolder) -> list[int]:
    """Tasks whose key has a higher version."""
    import polars as pl

    from tui_lab.store.planning import known_tasks

    known = known_tasks(folder.plans, folder.state())
    newest = known.with_columns(pl.col("version").max().over("key").alias("newest"))
    return newest.filter(pl.col("version") < pl.col("newest"))["task_id"].to_list()


def _stale_attempts(place: Path, counts: int | None) -> Iterator[str]:
    """Names of the output files of attempts other than the one that counts."""
    from tui_lab.store.layout import METRICS_FILE
    from tui_lab.store.task_files import listed

    for name, _ in listed(place):
        stem, _, ending = name.rpartition(".")
        base, attempt = (stem, int(ending)) if ending.isdecimal() else (name, 1)
        if attempt != counts and (base in ("stdout", "stderr", METRICS_FILE) or base.endswith((".stdout", ".stderr"))):
            yield name


def _whole_size(place: Path) -> int:
    from tui_lab.store.task_files import listed

    return sum(facts.st_size for _, facts in listed(place, deep=True))


def _remove(folder: ExperimentFolder, path: Path) -> str:
    """Remove a task's folder, or a file in one; never what is behind a link. Return what prevented it, if anything
    did."""
    from tui_lab.portable.beneath import Folder

    top, thousand, *below = path.relative_to(folder.path).parts  # or a stage, in the place of a thousand
    try:
        with Folder.base(os.fsencode(folder.path / top / thousand)) as tasks:
            tasks.remove(os.fsencode("/".join(below)))
    except OSError as error:
        inner = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else ""
        return f"{path / inner if inner and inner != below[-1] else path}: {error.strerror}"
    return ""


def _journal(folder: ExperimentFolder, kind: type[Cleaned | FilesRemoved], tasks: list[int]) -> None:
    """Record, before anything is removed, what these tasks lose. The caller holds the lock."""
    from tui_lab.store import ranges
    from tui_lab.store.environment import public_words
    from tui_lab.store.journal import Journal

    event = kind(round(time.time(), 3), ranges.to_ranges(tasks), public_words(sys.argv))
    folder.require_whole()
    journal = Journal(folder.journal)
    try:
        journal.append([event])
        journal.sync()
    finally:
        journal.close()
