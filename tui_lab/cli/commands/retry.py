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
    from tui_lab.store.fold import State

_CHANGE: Final = re.compile(r"(timeout|needs\.[A-Za-z_][A-Za-z0-9_.-]*)=\S*")


def main(arguments: list[str]) -> int:
    """Run `tui-lab retry`; return the exit status."""
    parser = Parser(
        "retry",
        description="Run failed, stopped or lost tasks again, with all their retries. A task of several steps goes "
        "on at the one that failed.\n\n" + TASK,
        epilog=examples(
            ("tui-lab retry", "all failed, stopped and lost tasks"),
            ("tui-lab retry 17 20-29", "some tasks"),
            ("tui-lab retry 17:train", "one that is done, too, from its step train on"),
            ("tui-lab retry 17:train", "with stages: that stage, whatever its state, and what depends on it"),
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
    from tui_lab.client.address import newest, resolve
    from tui_lab.client.follow import Followed, Interrupts
    from tui_lab.client.formatting import plural
    from tui_lab.client.formatting import runs as of_stages
    from tui_lab.client.program import changed_since
    from tui_lab.client.stage_runs import failed_to_collect, waiting_beside, with_following
    from tui_lab.client.steps import step_to_begin
    from tui_lab.engine.client import EngineClient
    from tui_lab.store import fold, ranges

    lab = lab_to_run(args)
    changes = read_changes([word for word in args.tasks if _CHANGE.fullmatch(word)])
    words = [word for word in args.tasks if not _CHANGE.fullmatch(word)] or [newest(lab).name]
    wanted: dict[str, dict[int | None, list[int]]] = {}  # by experiment, and by the step to begin at
    addresses = resolve(lab, words)
    folders = {address.folder.name: address.folder for address in addresses}
    ended = {name: _ended(folder.state()) for name, folder in folders.items()}
    for address in addresses:
        state = ended[address.folder.name].get(address.task)
        steps = wanted.setdefault(address.folder.name, {})
        if address.stage is not None:
            # From their first step: what they have done already is of another run of the stage.
            steps.setdefault(0, []).extend(with_following(address))
            if waiting := waiting_beside(address):
                steps.setdefault(None, []).extend(waiting)
        elif state is not None and (state != fold.DONE or address.step is not None):
            steps.setdefault(step_to_begin(address), []).append(address.task)
    for name, folder in folders.items():
        named = {one.task for one in addresses if one.folder.name == name and one.stage is None}
        if collecting := failed_to_collect(folder, named):
            wanted[name].setdefault(0, []).extend(collecting)
    wanted = {name: steps for name, steps in wanted.items() if steps}
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
    for name, steps in wanted.items():
        folder = folders[name]
        before = folder.state()
        for step, tasks in steps.items():
            request = Requeue(name, ranges.to_ranges(sorted(tasks)), dict(os.environ), changes, step=step)
            submission = client.request(request).submission
        all_ = {task for tasks in steps.values() for task in tasks}
        count = sum(before.stage(task) is None for task in all_)
        if not args.json:
            also = f", and {of_stages(len(all_) - count)}" if len(all_) > count else ""
            print(f"{name}: {plural(count, 'task')} to run again{also}", file=sys.stderr)
        runs.append(Followed(folder, submission, count, before))
    if args.detach:
        heard.restore()
        return DONE
    return watch(lab, client, runs, [folders[name] for name in wanted], args, heard)


def _ended(state: State) -> dict[int, int]:
    """Return the state of each task of the newest plan that has ended."""
    from tui_lab.store import fold

    over = (fold.DONE, fold.FAILED, fold.STOPPED, fold.LOST)
    facts = zip(state.columns["state"], state.columns["planned"], strict=True)
    return {task: code for task, (code, planned) in enumerate(facts) if planned and code in over}
