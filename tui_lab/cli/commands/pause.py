"""`tui-lab pause`: start no more tasks for now; running tasks may finish."""

from __future__ import annotations

import os
import sys

from tui_lab.cli.options import Parser, add_common, examples, open_lab
from tui_lab.client.errors import NothingToDoError
from tui_lab.client.exit_status import DONE
from tui_lab.protocol.control import AskStatus


def main(arguments: list[str]) -> int:
    """Run `tui-lab pause`; return the exit status."""
    parser = Parser(
        "pause",
        description="Start no more tasks; running tasks may finish. `tui-lab resume` continues, and so does the same\n"
        "--run.",
        epilog=examples(("tui-lab pause", "all running experiments"), ("tui-lab pause grid", "one experiment")),
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all running experiments")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.control import pause
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.experiment import ExperimentFolder

    lab = open_lab(args)
    client = EngineClient.connect(lab)
    active = client.request(AskStatus()).active if client is not None else []
    names = [lab.experiment(name).name for name in args.experiments] or active
    if client is None or not active:
        raise NothingToDoError(f"nothing to pause: nothing is running in {lab.path}")
    for name in names:
        if name not in active:
            print(f"{name} is not running", file=sys.stderr)
            continue
        operation = pause(ExperimentFolder(lab.path / name), os.environ)
        client.request(operation.command)
        print(f"{name}: {operation.done}. {operation.hint}", file=sys.stderr)
    return DONE
