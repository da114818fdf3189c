"""`tui-lab resume`: continue what was paused or interrupted."""

from __future__ import annotations

import os
import sys

from tui_lab.cli.options import Parser, add_common, add_json, add_take_over, choose_experiments, examples, lab_to_run
from tui_lab.client.errors import NothingToDoError
from tui_lab.client.exit_status import DONE


def main(arguments: list[str]) -> int:
    """Run `tui-lab resume`; return the exit status."""
    parser = Parser(
        "resume",
        description="Continue what was paused or interrupted.",
        epilog=examples(("tui-lab resume", "all that have tasks left"), ("tui-lab resume grid", "one experiment")),
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all that have tasks left")
    parser.add_argument("--detach", action="store_true", help="start it and return at once")
    add_take_over(parser)
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.cli.watch import watch
    from tui_lab.client.control import resume
    from tui_lab.client.failures import open_tasks
    from tui_lab.client.follow import Followed, Interrupts
    from tui_lab.client.formatting import plural
    from tui_lab.client.retry import check_code
    from tui_lab.engine.client import EngineClient

    lab = lab_to_run(args)
    left = {}
    for folder in choose_experiments(lab, args.experiments):
        state = folder.state()
        count = state.queued_tasks() or open_tasks(state)
        if count:
            left[folder] = count
        elif args.experiments:
            print(f"{folder.name} has no requested tasks left; --run requests more", file=sys.stderr)
    if not left and args.experiments:
        return DONE
    if not left:
        raise NothingToDoError(f"nothing to resume: nothing in {lab.path} is paused or interrupted")
    for folder in left:
        check_code(folder)
    client = EngineClient.start(lab)
    heard = Interrupts()
    runs = []
    for folder, count in left.items():
        state = folder.state()
        operation = resume(folder, os.environ)
        if not args.json:
            print(f"{folder.name}: {plural(count, 'task')} left", file=sys.stderr)
        client.request(operation.command)
        runs.append(Followed(folder, len(state.submissions) - 1, count, state))
    if args.detach:
        heard.restore()
        return DONE
    return watch(lab, client, runs, list(left), args, heard)
