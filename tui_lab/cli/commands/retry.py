"""`tui-lab retry`: run failed, stopped or lost tasks again."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tui_lab.cli.options import TASK, Parser, add_common, add_json, add_take_over, examples, lab_to_run
from tui_lab.client.errors import NothingToDoError, UsageError
from tui_lab.client.exit_status import DONE

if TYPE_CHECKING:
    from tui_lab.store.experiment import ExperimentFolder

_CHANGE: Final = re.compile(r"(timeout|needs\.[A-Za-z_][A-Za-z0-9_.-]*)=\S*")


def main(arguments: list[str]) -> int:
    parser = Parser(
        "retry",
        description="Run tasks again that failed, were stopped or lost; their attempts count afresh.\n\n" + TASK,
        epilog=examples(
            ("tui-lab retry", "all that did not end well"),
            ("tui-lab retry 17 20-29", "some tasks"),
            ("tui-lab retry \"reason = 'timeout'\" timeout=2h", "those that took too long, with more time"),
            ("tui-lab retry \"reason = 'oom'\" needs.memory=16G", "those that ran out of memory, with more of it"),
        ),
    )
    parser.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK | timeout=TIME | needs.NAME=AMOUNT",
        help="by default all that did not end well, as they were",
    )
    parser.add_argument("--detach", action="store_true", help="start the run and leave it")
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
        answer = client.request("requeue", experiment=name, tasks=asked, environment=dict(os.environ), changes=changes)
        if not args.json:
            print(f"{name}: {plural(len(tasks), 'task')} to run again", file=sys.stderr)
        runs.append(Followed(folder, answer["submission"], len(tasks), state))
    if args.detach:
        heard.restore()
        return DONE
    return watch(lab, client, runs, [folders[name] for name in wanted], args, heard)


def read_changes(words: list[str]) -> dict[str, Any]:
    """What `name=value` words change for this retry: `timeout` in seconds, `needs` by name; None and 0 for none.
    Raises UsageError."""
    from tui_lab.experiment.needs import NeedError, amount
    from tui_lab.experiment.units import MEMORY_HINT, TIME_HINT, duration

    changes: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name == "timeout":
            try:
                changes[name] = None if value == "none" else duration(value)
            except ValueError:
                raise UsageError(f"{word}: {TIME_HINT}, or none") from None
        else:
            need = name.removeprefix("needs.")
            try:
                found = 0 if value == "none" else amount(need, value)
            except NeedError as error:
                raise UsageError(f"{word}: {error}" + (f"; {MEMORY_HINT}" if need == "memory" else "")) from None
            changes.setdefault("needs", {})[need] = found
    return changes


def check_needs(folder: ExperimentFolder, needs: Mapping[str, Any]) -> None:
    """Raises UsageError for a need that an experiment does not know, or never meets."""
    from tui_lab.experiment.needs import OF_A_NODE, too_many
    from tui_lab.experiment.yaml.problem import suggest

    limits = folder.spec().limits if needs else {}
    for name, count in needs.items():
        if name not in (*OF_A_NODE, *limits):
            known = f"it is one of {', '.join((*OF_A_NODE, *limits))}"
            raise UsageError(f'{folder.name} has no need "{name}"; {suggest(name, (*OF_A_NODE, *limits)) or known}')
        if name in limits and count > limits[name]:
            raise UsageError(f"{folder.name}: {too_many(name, count, limits[name])}")


def check_code(folder: ExperimentFolder) -> None:
    """Raises LabError where tasks have changed the program of the newest submission."""
    from tui_lab.store import code_snapshot

    submissions = folder.state().submissions
    if submissions and submissions[-1].code is not None:
        code_snapshot.verify(folder.path, submissions[-1].code)
