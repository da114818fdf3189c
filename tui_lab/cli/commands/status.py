"""`tui-lab status`: show the progress of the experiments of a lab."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypedDict

import msgspec

from tui_lab.cli.options import (
    Parser,
    add_common,
    add_json,
    choose_experiments,
    examples,
    open_lab,
    print_json,
)
from tui_lab.client.exit_status import DONE, INFRASTRUCTURE
from tui_lab.protocol.control import AskStatus, Status
from tui_lab.results.terminal.guard import console as new_console

if TYPE_CHECKING:
    from tui_lab.store.events import Paused
    from tui_lab.store.experiment import ExperimentFolder
    from tui_lab.store.lab import Lab


class ExperimentStatus(TypedDict):
    """An experiment as `--json` has it. `spare`: repeats that are not needed. `last_ended_at`: seconds since 1970."""

    name: str
    tasks: int
    counts: dict[str, int]
    stages: dict[str, dict[str, int]]
    spare: int
    queued: int
    active: bool
    paused: Paused | None
    last_ended_at: float | None


def main(arguments: list[str]) -> int:
    """Run `tui-lab status`; return the exit status."""
    parser = Parser(
        "status",
        description="Show the progress of the experiments of a lab, and what is running.",
        epilog=examples(
            ("tui-lab status", "all experiments"),
            ("tui-lab status grid --json", "one, for a program"),
            ("tui-lab status --nodes", "and the nodes"),
        ),
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all")
    parser.add_argument("--nodes", action="store_true", help="also show the table of `tui-lab nodes`")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)
    lab = open_lab(args)
    engine, code = _engine(lab)
    folders = choose_experiments(lab, args.experiments)
    found, unreadable = _all(folders if args.experiments else [*lab.without_journal(), *folders], engine)
    nodes = None
    if args.nodes and code == DONE:
        from tui_lab.cli.output.node_table import query_nodes, show

        nodes = query_nodes(lab)
    if args.json:
        from tui_lab.cli.output.node_table import as_json

        detail = {} if nodes is None else {"nodes": [as_json(node) for node in nodes.nodes]}
        about = None if engine is None else {**msgspec.to_builtins(engine), "nodes": [*map(as_json, engine.nodes)]}
        print_json({"lab": str(lab.path), "engine": about, "experiments": found, **detail})
        return INFRASTRUCTURE if unreadable else code
    _show(lab, engine, found, with_nodes=nodes is None)
    if nodes is not None:
        print()
        show(nodes)
    return INFRASTRUCTURE if unreadable else code


def _all(folders: list[ExperimentFolder], engine: Status | None) -> tuple[list[ExperimentStatus], bool]:
    """Return the state of the experiments, and whether some can't be read, which are named on standard error. Raises
    LabError, OSError where none can."""
    from tui_lab.store.errors import LabError

    found: list[ExperimentStatus] = []
    errors: list[LabError | OSError] = []
    for folder in folders:
        try:
            found.append(_of(folder, engine))
        except (LabError, OSError) as error:
            errors.append(error)
    for number, wrong in enumerate(errors, 1):
        if not found and number == len(errors):
            raise wrong
        place = f"{wrong.filename}: " if isinstance(wrong, OSError) and wrong.filename else ""
        print(f"tui-lab: {place}{wrong.strerror if isinstance(wrong, OSError) else wrong}", file=sys.stderr)
    return found, bool(errors)


def _engine(lab: Lab) -> tuple[Status | None, int]:
    """Return the engine's status, None where none is running; and the exit status for it."""
    from tui_lab.engine.client import EngineClient, EngineGone, EngineSilent
    from tui_lab.store.errors import StorageError

    try:
        client = EngineClient.connect(lab)
        if client is None:
            return None, DONE
        answer = client.request(AskStatus())
        client.close()
    except EngineGone:
        return None, DONE
    except StorageError as error:
        code = INFRASTRUCTURE if isinstance(error, EngineSilent) else DONE
        return Status(None, [], str(error), []), code
    return answer, DONE


def _of(folder: ExperimentFolder, engine: Status | None) -> ExperimentStatus:
    from tui_lab.store.spare import counts_without_spare

    folder.require_journal()
    state = folder.state()
    counts, spare = counts_without_spare(state)
    columns = state.columns
    ended = [moment for moment in columns["ended"] if moment == moment]
    return {
        "name": folder.name,
        "tasks": state.planned,
        "counts": counts,
        "stages": state.stage_counts(),
        "spare": spare,
        "queued": state.queued_tasks(),
        "active": engine is not None and folder.name in engine.active,
        "paused": state.paused,
        "last_ended_at": max(ended, default=None),
    }


def _show(lab: Lab, engine: Status | None, found: list[ExperimentStatus], *, with_nodes: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from tui_lab.cli.output.summary import paused_line
    from tui_lab.client.formatting import STATE_MARKS, STATE_STYLES, plural, printable, stages_line
    from tui_lab.client.node_formatting import trouble

    console = new_console(highlight=False)
    if not found:
        print(f"{lab.path}: no experiments yet; `tui-lab --run FILE` makes one")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("experiment", "tasks"):
        table.add_column(name, justify="left" if name == "experiment" else "right")
    states = [name for name in STATE_MARKS if any(one["counts"][name] for one in found)]
    for name in states:
        table.add_column(f"{STATE_MARKS[name]} {name}", justify="right")
    table.add_column("")
    for one in found:
        cells = [
            Text(f"{one['counts'][name]:,}" if one["counts"][name] else "", style=STATE_STYLES[name]) for name in states
        ]
        table.add_row(one["name"], f"{one['tasks']:,}", *cells, _how(one))
    console.print(table)
    for one in found:
        if one["stages"]:
            console.print(Text(f"{one['name']}: {stages_line(one['stages'])}"), soft_wrap=True)
    for one in found:
        if one["paused"] is not None:
            console.print(Text(f"{one['name']}: {paused_line(one['paused'])}"), soft_wrap=True)
    if engine is None:
        unfinished = [one["name"] for one in found if one["counts"]["running"] and not one["active"]]
        print("no engine is running" + (f"; the tasks of {', '.join(unfinished)} may be" if unfinished else ""))
        return
    for node in engine.nodes if with_nodes else ():
        wrong = trouble(node, engine.nodes)
        if node.pending is None:
            held = f"{plural(node.slots or 0, 'slot')}, {plural(node.open or 0, 'task')} there"
            print(f"node {node.name}: {node.state}, {held}" + (f"; {wrong}" if wrong else ""))
        else:
            state = "" if node.state == "pool" else node.state
            print(f"pool {node.name}: " + "; ".join(filter(None, (state, printable(node.doing or ""), wrong))))
    if engine.notice:
        print(f"! {engine.notice}")


def _how(one: ExperimentStatus) -> str:
    if one["active"]:
        return "going"
    if one["paused"] is not None:
        return "paused"
    return f"{one['spare']:,} not needed" if one["spare"] else ""
