"""`tui-lab stop`: stop tasks, or whole experiments."""

from __future__ import annotations

import os
import sys

from tui_lab.cli.options import TASK, Parser, add_common, choose_experiments, examples, open_lab
from tui_lab.client.errors import NothingToDoError
from tui_lab.client.exit_status import DONE
from tui_lab.protocol.control import AskStatus


def main(arguments: list[str]) -> int:
    """Run `tui-lab stop`; return the exit status."""
    parser = Parser(
        "stop",
        description="Stop running and pending tasks. `tui-lab retry` runs them again.\n\n" + TASK,
        epilog=examples(
            ("tui-lab stop", "all running experiments"),
            ("tui-lab stop grid/17", "one task"),
            ("tui-lab stop 'lr > 0.1'", "some"),
        ),
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="default: all running experiments")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.address import by_experiment, resolve
    from tui_lab.client.control import notes, stop
    from tui_lab.engine.client import EngineClient, EngineGone
    from tui_lab.store.experiment import ExperimentFolder

    lab = open_lab(args)
    named = by_experiment(resolve(lab, args.tasks)) if args.tasks else {}  # a wrong name is a mistake in any case
    client, active = EngineClient.connect(lab), list[str]()
    try:
        active = [] if client is None else client.request(AskStatus()).active
    except EngineGone:  # it was killed a moment ago
        client = None
    # Without an engine: it was killed, and its tasks go on under their agents. Those of a copy are another lab's.
    if client is None and not lab.is_copy:
        left = [folder.name for folder in choose_experiments(lab, []) if any(folder.state().columns["assigned"])]
        client = EngineClient.start(lab) if left else None
    else:
        left = []
    # None: all of the experiment
    wanted: dict[str, list[int] | None] = (
        {name: sorted(tasks) for name, tasks in named.items()} if args.tasks else dict.fromkeys([*active, *left])
    )
    if client is None or not wanted:
        raise NothingToDoError(f"nothing to stop: nothing is running in {lab.path}")
    for name, tasks in wanted.items():
        operation = stop(ExperimentFolder(lab.path / name), os.environ, tasks)
        answer = client.request(operation.command)
        print(f"{name}: {operation.outcome(answer)}", file=sys.stderr)
        for line in notes(answer):
            print(line, file=sys.stderr)
    return DONE
