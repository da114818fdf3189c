"""`tui-lab plan FILE`: what would run and why, before anything does."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui_lab.cli.options import (
    Parser,
    add_common,
    add_json,
    add_nodes,
    add_rerun,
    examples,
    lab_path,
    print_json,
    without_value,
)
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.client.plan_preview import EXAMPLES, commands, expected, stages_line
from tui_lab.client.stage_graph import FORMATS, graph
from tui_lab.experiment.data_types import JsonObject

if TYPE_CHECKING:
    from tui_lab.client.submission import Prepared


def main(arguments: list[str]) -> int:
    """Run `tui-lab plan`; return the exit status."""
    parser = Parser(
        "plan",
        description="Show what a run would do: new, changed, failed and stale tasks, and the time that they take.\n"
        "It takes the options of --run, and runs nothing.",
        epilog=examples(
            ("tui-lab plan experiment.yaml", "what a run would do"),
            ("tui-lab plan experiment.yaml --cluster cluster.yaml", "and whether its tasks fit there"),
            ("tui-lab plan experiment.yaml lr=0.1,0.2", "the same, with these values"),
            ("tui-lab plan experiment.yaml --graph=dot | dot -Tsvg", "the graph of the stages, drawn by Graphviz"),
            ("tui-lab plan experiment.yaml --only 'lr > 0.1' --all", "all commands of these tasks"),
        ),
    )
    parser.add_argument("words", nargs="+", metavar="FILE | name=value", help="as for --run")
    parser.add_argument("--only", metavar="SQL", help="the tasks for which this is true")
    parser.add_argument("--new", action="store_true", help="don't run failed and lost tasks again")
    add_rerun(parser)
    parser.add_argument(
        "--adopt", action="store_true", help="keep the results of tasks that are new only because of an edit"
    )
    parser.add_argument(
        "--without-added", action="store_true", help="remove combinations from the plan that name=value added"
    )
    parser.add_argument("--replace", action="store_true", help="use this file instead of the earlier one")
    parser.add_argument("--all", action="store_true", help="print every command that would run")
    parser.add_argument(
        "--graph",
        nargs="?",
        choices=FORMATS,
        metavar="=FORMAT",
        help="print only the graph of the stages: as text, or for mermaid or dot (Graphviz)",
    )
    add_nodes(parser)
    add_json(parser)
    add_common(parser)
    args = parser.parse_intermixed_args(without_value(arguments, graph="text"))

    from tui_lab.client.nodes import read_nodes
    from tui_lab.client.places import known_places, unchecked
    from tui_lab.client.reading import noted
    from tui_lab.client.submission import Choice, find_lab, prepare, split_words

    files, overrides = split_words(args.words)
    if not files:
        raise UsageError("plan needs a file")
    choice = Choice(
        overrides,
        args.only,
        args.new,
        args.rerun is not None,
        args.adopt,
        args.replace,
        args.without_added,
        args.rerun or None,
    )
    lab = find_lab(lab_path(args))
    nodes = read_nodes(args.node, args.cluster) if args.node or args.cluster else []
    places = known_places(nodes, lab, os.environ)
    for file in files:
        with noted(str(file)):
            prepared = prepare(lab, Path(file), choice)
        if nodes:
            prepared.checked(nodes, places)
        notes = places.notes if nodes else unchecked(prepared.experiment)
        prepared = replace(prepared, notices=(*prepared.notices, *notes))
        if args.graph is not None:
            print(graph(prepared, args.graph))
        elif args.json:
            print_json(as_json(prepared))
        else:
            show(prepared, everything=args.all)
    return DONE


def as_json(prepared: Prepared) -> JsonObject:
    """Return the plan for `--json`."""
    return {
        "experiment": prepared.experiment.name,
        "tasks": prepared.plan.tasks.height,
        "combinations": prepared.plan.tasks["combination"].n_unique(),
        "added": prepared.plan.tasks.filter("added")["combination"].n_unique(),
        "repeat": prepared.experiment.repeats,
        "to_run": len(prepared.queued),
        "spare": len(prepared.spare),
        "counts": prepared.counts,
        "stages": [asdict(one) for one in prepared.stages],
        "reasons": prepared.reasons,
        "adopted": prepared.planned.adopted.len(),
        "expected_seconds": expected(prepared),
        "notices": list(prepared.notices),
        "commands": commands(prepared, EXAMPLES),
    }


def show(prepared: Prepared, everything: bool) -> None:
    """Print the plan as text. everything: all tasks, not the first few."""
    from tui_lab.client.formatting import plural, runs, shortened, span

    plan = prepared.plan
    combinations = plan.tasks["combination"].n_unique()
    print(f"{prepared.experiment.name}: {_product(prepared, combinations)}")
    for name in plan.names:
        print(f"  {name}: {shortened(_domain(prepared, name), 100)}")
    if prepared.parts:
        print("  " + ", ".join(f"{count:,} {name}" for name, count in prepared.parts.items()))
    if prepared.stages:
        print(f"  stages: {stages_line(prepared)}")
    for one in prepared.stages:
        if one.gone:
            print(f"  {runs(one.gone, one.stage)} would run again: the outputs are gone")
        if one.discarded:
            print(f"  {runs(one.discarded, one.stage)} would run again: `retain: until-done` has removed the outputs")
    for why, count in prepared.reasons.items():
        print(f"  {plural(count, 'task')} would run again: {why}")
    for notice in prepared.notices:
        print(f"  note: {notice}")
    seconds = expected(prepared)
    time = f", in about {span(seconds)}" if seconds else ""
    needed = [runs(one.to_run, one.stage) + " per node" * one.per_node for one in prepared.stages if one.to_run]
    with_runs = (
        f" with {' and '.join([', '.join(needed[:-1]), needed[-1]] if needed[1:] else needed)}" if needed else ""
    )
    print(f"would run {plural(len(prepared.queued), 'task')}{with_runs}{time}{and_more(prepared)}")
    shown = commands(prepared, None if everything else EXAMPLES)
    for line in shown:
        print(f"  {line}")
    if len(shown) < len(prepared.queued):
        print(f"  ... (--all prints all {len(prepared.queued):,})")


def _product(prepared: Prepared, combinations: int) -> str:
    """Return how many tasks there are, and why."""
    from tui_lab.client.formatting import plural

    repeat, tasks = prepared.experiment.repeat, plural(prepared.plan.tasks.height, "task")
    added = prepared.plan.tasks.filter("added")["combination"].n_unique()
    of = f"{plural(combinations, 'combination')}" + (f" ({added:,} added by name=value)" if added else "")
    if isinstance(repeat, int):
        return f"{of} x {plural(repeat, 'repeat')} = {tasks}"
    return f"{of} x {repeat.min} to {repeat.max} repeats = at most {tasks}"


def and_more(prepared: Prepared) -> str:
    """Return how many tasks `repeat.until` may add."""
    repeat = prepared.experiment.repeat
    if isinstance(repeat, int) or not len(prepared.spare):
        return ""
    return f"; up to {len(prepared.spare):,} more until {' '.join(repeat.until.split())}"


def _domain(prepared: Prepared, name: str) -> str:
    from tui_lab.client.formatting import shown_value

    plan = prepared.plan
    values = plan.typed()[name].unique(maintain_order=True)
    words = [shown_value(value) for value in values.head(12)]
    return ", ".join(words) + (f", ... ({len(values):,} values)" if len(values) > 12 else "")
