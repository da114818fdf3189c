"""`tui-lab retry`: run failed, stopped or lost tasks again."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final

from tui_lab.cli.options import TASK, Parser, add_common, add_json, add_take_over, examples, lab_to_run
from tui_lab.client.errors import NothingToDoError
from tui_lab.client.exit_status import DONE
from tui_lab.client.retry import check_code, check_needs, read_changes
from tui_lab.protocol.control import Requeue

if TYPE_CHECKING:
    pass

_CHANGE: Final = re.compile(r"(timeout|needs\.[A-Za-z_][A-Za-z0-9_.-]*)=\S*")


def main(arguments: list[str]) -> int:
    """Run `tui-lab retry`; return the exit status."""
    parser = Parser(
        "retry",
        description="Run failed, stopped or lost tasks again, with all their retries.\n\n" + TASK,
        epilog=examples(
            ("tui-lab retry", "all failed, stopped and lost tasks"),
            ("tui-lab retry 17 20-29", "some tasks"),
            ("tui-lab retry \"reason = 'timeout'\" timeout=2h", "tasks that took too long, with more time"),
            ("tui-lab retry \"reason = 'oom'\" needs.memory=16G", "tasks that ran out of memory, with more of it"),
        ),
    )
    parser.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK | timeout=TIME | needs.NAME=AMOUNT",
        help="default: all failed, stopped and lost tasks, unchanged",
    )
    parser.add_argument("--detach", action="store_true", help="start the run and return at once")
    add_take_over(parser)
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.cli.watch import watch
    from tui_lab.client.address import by_experiment, newest, resolve
    from tui_lab.client.follow import Followed, Interrupts
    from tui_lab.client.formatting import plural
    from tui_lab.client.program import changed_since
    from tui_lab.engine.client import EngineClient
    from tui_lab.store import fold, ranges

    lab = lab_to_run(args)
    changes = read_changes([word for word in args.tasks if _CHANGE.fullmatch(word)])
    words = [word for word in args.tasks if not _CHANGE.fullmatch(word)] or [newest(lab).name]
    wanted: dict[str, list[int]] = {}
    addresses = resolve(lab, words)
    folders = {address.folder.name: address.folder for address in addresses}
    for name, tasks in by_experiment(addresses).items():
        columns = folders[name].state().columns
        states, planned = columns["state"], columns["planned"]
        ended = [one for one in tasks if states[one] in (fold.FAILED, fold.STOPPED, fold.LOST) and planned[one]]
        if ended:
            wanted[name] = ended
    if not wanted:
        raise NothingToDoError("nothing to retry: none of these tasks failed, was stopped or lost in the newest plan")
    for folder in (folders[name] for name in wanted):
        check_needs(folder, changes.get("needs", {}))
        check_code(folder)
        for line in changed_since(folder):
            print(f"note: {folder.name}: {line}", file=sys.stderr)
    client = EngineClient.start(lab)
    heard = Interrupts()
    runs = []
    for name, tasks in wanted.items():
        folder = folders[name]
        state = folder.state()
        asked = ranges.to_ranges(tasks)
        taken = client.request(Requeue(name, asked, dict(os.environ), changes))
        if not args.json:
            print(f"{name}: {plural(len(tasks), 'task')} to run again", file=sys.stderr)
        runs.append(Followed(folder, taken.submission, len(tasks), state))
    if args.detach:
        heard.restore()
        return DONE
    return watch(lab, client, runs, [folders[name] for name in wanted], args, heard)
