"""`tui-lab retry`: run failed, stopped or lost tasks again."""

from __future__ import annotations

import os
import sys

from tui_lab.cli.errors import UsageError
from tui_lab.cli.main import DONE, FAILED, INTERRUPTED
from tui_lab.cli.options import Parser, add_common, add_json, open_lab


def main(arguments: list[str]) -> int:
    parser = Parser(
        "retry",
        description="Run tasks again that failed, were stopped or lost; their attempts count afresh.\n\n"
        "TASK is [EXPERIMENT/]ID, an EXPERIMENT, or a SQL condition such as \"reason = 'timeout'\".",
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="by default all that did not end well")
    parser.add_argument("--detach", action="store_true", help="start the run and leave it")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.cli.address import newest, resolve
    from tui_lab.cli.follow import Followed, Follower
    from tui_lab.cli.progress import make_view
    from tui_lab.cli.summary import summarize
    from tui_lab.cli.text import plural
    from tui_lab.engine.client import EngineClient
    from tui_lab.store import fold, ranges

    lab = open_lab(args)
    words = args.tasks or [newest(lab).name]
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
        answer = client.request("requeue", experiment=name, tasks=asked, environment=dict(os.environ))
        runs.append(Followed(folder, answer["submission"], len(tasks), state))
    if args.detach:
        return DONE
    interrupted = Follower(lab, client, runs, make_view(args.json)).follow()
    failed = False
    for run in runs:
        failed |= summarize(run.folder, args, interrupted)
    return INTERRUPTED if interrupted else FAILED if failed else DONE
