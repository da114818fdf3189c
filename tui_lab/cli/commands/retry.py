"""`tui-lab retry`: run failed, stopped or lost tasks again."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Final

from tui_lab.cli.errors import UsageError
from tui_lab.cli.main import DONE
from tui_lab.cli.options import TASK, Parser, add_common, add_json, examples, open_lab

_CHANGE: Final = re.compile(r"(timeout|needs\.[a-z]+)=\S*")


def main(arguments: list[str]) -> int:
    parser = Parser(
        "retry",
        description="Run tasks again that failed, were stopped or lost; their attempts count afresh.\n\n" + TASK,
        epilog=examples(
            ("tui-lab retry", "all that did not end well"),
            ("tui-lab retry 17 20-29", "some tasks"),
            ("tui-lab retry \"reason = 'timeout'\" timeout=2h", "those that took too long, with more time"),
        ),
    )
    parser.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK | timeout=TIME",
        help="by default all that did not end well, as they were",
    )
    parser.add_argument("--detach", action="store_true", help="start the run and leave it")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.cli.address import newest, resolve
    from tui_lab.cli.follow import Followed
    from tui_lab.cli.text import plural
    from tui_lab.cli.watch import watch
    from tui_lab.engine.client import EngineClient
    from tui_lab.store import fold, ranges

    lab = open_lab(args)
    changes = read_changes([word for word in args.tasks if _CHANGE.fullmatch(word)])
    words = [word for word in args.tasks if not _CHANGE.fullmatch(word)] or [newest(lab).name]
    wanted: dict[str, list[int]] = {}
    folders = {}
    for address in resolve(lab, words):
        state = address.folder.state()
        code = state.columns["state"][address.task]
        if code in (fold.FAILED, fold.STOPPED, fold.LOST) and state.columns["planned"][address.task]:
            wanted.setdefault(address.folder.name, []).append(address.task)
            folders[address.folder.name] = address.folder
    if not wanted:
        raise UsageError("none of these tasks failed, was stopped or lost in the newest plan")
    client = EngineClient.start(lab)
    runs = []
    for name, tasks in wanted.items():
        folder = folders[name]
        state = folder.state()
        if not args.json:
            print(f"{name}: {plural(len(tasks), 'task')} to run again", file=sys.stderr)
        asked = ranges.to_ranges(tasks)
        answer = client.request("requeue", experiment=name, tasks=asked, environment=dict(os.environ), changes=changes)
        runs.append(Followed(folder, answer["submission"], len(tasks), state))
    if args.detach:
        return DONE
    return watch(lab, client, runs, list(folders.values()), args)


def read_changes(words: list[str]) -> dict[str, Any]:
    """What `name=value` words change for this retry: `timeout` in seconds, None for none. Raises
    UsageError."""
    from tui_lab.spec.units import duration

    changes: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name != "timeout":
            raise UsageError(f"{word}: {name} is not supported yet; only timeout can be changed")
        try:
            changes[name] = None if value == "none" else duration(value)
        except ValueError:
            raise UsageError(f"{word}: expected a time such as 30s or 2h, or none") from None
    return changes
