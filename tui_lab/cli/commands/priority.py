"""`tui-lab priority`: let a running experiment go before others."""

from __future__ import annotations

import sys

from tui_lab.cli.options import Parser, add_common, examples, open_lab
from tui_lab.client.errors import NothingToDoError, UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.protocol.control import AskStatus


def main(arguments: list[str]) -> int:
    """Run `tui-lab priority`; return the exit status."""
    parser = Parser(
        "priority",
        description="Let a running experiment go before those with a lower priority, until its next submission.\n"
        "Running tasks continue; what has not begun makes way. `priority` in the file is for later submissions.",
        epilog=examples(
            ("tui-lab priority grid 10", "before all others, whose priority is 0 if their files have none"),
            ("tui-lab priority grid -1", "behind all others"),
        ),
    )
    parser.add_argument("experiment", metavar="EXPERIMENT")
    parser.add_argument("priority", metavar="NUMBER", help="a whole number; higher ones go first")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.control import set_priority
    from tui_lab.engine.client import EngineClient
    from tui_lab.experiment.yaml.reader import MOST

    try:
        priority = int(args.priority)
    except ValueError:
        raise UsageError(f"priority {args.priority}: a whole number, as in: tui-lab priority grid 10") from None
    if abs(priority) > MOST:
        raise UsageError(f"priority {args.priority}: at most {MOST:,}")
    lab = open_lab(args)
    folder = lab.experiment(args.experiment)
    client = EngineClient.connect(lab)
    if client is None or folder.name not in client.request(AskStatus()).active:
        raise NothingToDoError(f"{folder.name} is not running; `priority` in its file is for the next submission")
    operation = set_priority(folder, priority)
    client.request(operation.command)
    print(f"{folder.name}: {operation.done}", file=sys.stderr)
    return DONE
