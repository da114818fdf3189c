"""`tui-lab show TASK`: everything about a task; with --command a line to paste that repeats it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tui_lab.cli.options import TASK, Parser, add_common, add_json, examples, lab_to_read, print_json
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.client.task_facts import facts, repeating_line

if TYPE_CHECKING:
    from tui_lab.client.address import Address
    from tui_lab.client.attempts import AttemptFile
    from tui_lab.client.task_facts import TaskDetails
    from tui_lab.engine.tasks.builder import TaskBuilder

_SHOWN: Final = 20  # files


def main(arguments: list[str]) -> int:
    """Run `tui-lab show`; return the exit status."""
    parser = Parser(
        "show",
        description=f"Show everything about a task: values, attempts, files.\n\n{TASK}",
        epilog=examples(
            ("tui-lab show 17", "task 17 of the newest experiment"),
            ("tui-lab show --command grid/17", "a shell line that repeats it"),
        ),
    )
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="what to show")
    parser.add_argument("--command", action="store_true", help="print only a shell line that repeats the task")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.address import resolve
    from tui_lab.client.reading import noted

    addresses = resolve(lab_to_read(args), args.tasks)
    if not addresses:
        raise UsageError("no task matches")
    for number, address in enumerate(addresses):
        with noted(str(address)):
            builder, row = _builder(address)
        if args.command:
            print(repeating_line(builder, row))
        elif args.json:
            print_json(facts(address, builder, row).as_json())
        else:
            if number:
                print()
            _show(facts(address, builder, row), address)
    return DONE


def _builder(address: Address) -> tuple[TaskBuilder, int]:
    """Return the task builder and the row of a task, by the newest plan that has it."""
    from tui_lab.engine.tasks.builder import TaskBuilder

    folder = address.folder
    plan = folder.plan_of(address.task)
    state = folder.state()
    ran = state.columns["submission"][address.task]
    code = state.submissions[ran].code if ran >= 0 else None
    builder, row = TaskBuilder(folder.spec(plan.number), plan, folder.path, "", code).of(
        state.planned_run(address.task), state.stage(address.task)
    )
    assert row is not None
    return builder.using(state.runs_with(address.task)), row


def _show(found: TaskDetails, address: Address) -> None:
    from tui_lab.cli.output.node_table import facts_line
    from tui_lab.client.formatting import (
        STATE_MARKS,
        fact_format,
        plural,
        printable,
        runs,
        shown_value,
        size,
        span,
    )
    from tui_lab.client.git_state import commit_line
    from tui_lab.experiment.facts import FACTS
    from tui_lab.results.failures.messages import telling_line

    state = found.facts["state"]
    blocked = f": {found.blocked_by}" if found.blocked_by else ""
    reason = f" ({found.facts['reason']}{blocked})" if found.facts["reason"] else ""
    print(f"{address}: {STATE_MARKS[state]} {state}{reason}")
    for name, count in found.collects.items():
        print(f"  collects {runs(count, name)}")
    if found.tasks_behind is not None and not found.collects:
        print(f"  {plural(found.tasks_behind, 'task')} of the plan need{'s' * (found.tasks_behind == 1)} it")
    for name, run in found.before.items():
        print(f"  after {name}: {run}")
    for name, run in found.beside.items():
        print(f"  beside {name}: {run}")
    for name, value in found.parameters.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        print(f"  {name} = {shown_value(shown)}")
    lines = [fact for fact in FACTS.values() if fact.phrase and found.facts.get(fact.name) is not None]
    said = [fact.phrase.format(fact_format(fact)(found.facts[fact.name])) for fact in lines]
    print(f"  {', '.join(said)}, key {found.key[:12]}")
    for line in found.commands:
        print(f"  $ {line}")
    for event in found.history:
        parts = [event.state + (f" ({event.reason})" if event.reason is not None else "")]
        if event.exit_code is not None:
            parts.append(f"exit {event.exit_code}")
        if event.duration is not None:
            parts.append(span(event.duration))
        if event.cpu_time is not None:
            parts.append(f"{span(event.cpu_time)} CPU")
        if event.peak_rss is not None:
            parts.append(f"{size(event.peak_rss)} peak memory")
        if event.leftover is not None:
            parts.append(f"{event.leftover} processes left behind were stopped")
        print(f"  attempt {event.attempt}: {', '.join(parts)}")
        if event.note is not None:
            print(f"    {printable(event.note)}")
        place = address.folder.task_folder(event.task)
        raised = event.raised.line if event.raised else ""
        if event.state != "done" and (
            line := raised or telling_line(place, event.attempt, event.message, event.signal)
        ):
            print(f"    {printable(line)}")
    for step in found.steps:
        parts = [] if step.exit_code is None else [f"exit {step.exit_code}"]
        parts += [] if step.duration is None else [span(step.duration)]
        print(f"  step {step.name}: {', '.join([*parts, f'attempt {step.attempt}'])}")
    for name, what in found.refused.items():
        print(f"  ! {name} has no value: {printable(what)}")
    if line := commit_line(found.git):
        print(f"  {line}")
    if line := facts_line(found.node_facts):
        print(f"  node {found.facts['node']}: {line}")
    print(f"  {found.folder}")
    for name in found.files[:_SHOWN]:
        print(f"    {name}")
    if found.discarded:
        print("  its other files were removed (`retain: until-done`); it runs again if something needs it")
    _show_left([file for file in found.left if not file.home], address)
    for more in found.left_more:
        print(f"  stayed on {more.node}, too: {plural(more.files, 'further file')}, {size(more.size)}")


def _show_left(files: list[AttemptFile], address: Address) -> None:
    """What stayed on a node, and how to fetch it."""
    from tui_lab.client.formatting import plural, size

    for place in dict.fromkeys((file.node, file.attempt) for file in files):
        there = [file for file in files if (file.node, file.attempt) == place]
        amount = f"{plural(len(there), 'file')}, {size(sum(file.size for file in there))}"
        which = f"{address}.{place[1]}" if place[1] > 1 else str(address)
        print(f"  stayed on {place[0]}: {amount}; `tui-lab fetch {which}` fetches them")
        for file in there[:_SHOWN]:
            print(f"    {size(file.size):>10}  {file.name}")
