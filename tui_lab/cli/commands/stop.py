"""`tui-lab stop`: stop tasks, or whole experiments."""

from __future__ import annotations

import sys

from tui_lab.cli.errors import UsageError
from tui_lab.cli.main import DONE
from tui_lab.cli.options import Parser, add_common, open_lab


def main(arguments: list[str]) -> int:
    parser = Parser(
        "stop",
        description="Stop tasks: what runs is ended, what waits does not begin. `tui-lab retry` runs them again.\n\n"
        "TASK is [EXPERIMENT/]ID, an EXPERIMENT, or a SQL condition such as \"lr > 0.1\".",
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="by default everything that is going")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.cli.address import by_experiment, resolve
    from tui_lab.cli.text import plural
    from tui_lab.engine.client import EngineClient
    from tui_lab.store import ranges

    lab = open_lab(args)
    client = EngineClient.connect(lab)
    if client is None:
        raise UsageError(f"nothing is running in {lab.path}")
    if args.tasks:
        wanted = {name: ranges.to_ranges(tasks) for name, tasks in by_experiment(resolve(lab, args.tasks)).items()}
    else:
        wanted = dict.fromkeys(client.request("status")["active"])
    for name, tasks in wanted.items():
        answer = client.request("stop", experiment=name, tasks=tasks)
        print(f"{name}: stopping {plural(answer['stopped'], 'task')}", file=sys.stderr)
    return DONE
