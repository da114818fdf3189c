"""`tui-lab diff`: what differs between two tasks, or between two submissions of an experiment."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TypedDict, final

from tui_lab.cli.options import Parser, add_common, add_json, lab_to_read, print_json
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.experiment.facts import FACTS, Fact

if TYPE_CHECKING:
    from tui_lab.client.address import Address
    from tui_lab.client.submissions import SubmissionDifference
    from tui_lab.store.lab import Lab
    from tui_lab.store.task_files import TaskFile

_SUBMISSION: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)(?P<mark>[#@])(?P<number>\d+)")
OUTPUT_LIMIT: Final = 1 << 20  # bytes of an output that are compared line by line


def main(arguments: list[str]) -> int:
    """Run `tui-lab diff`; return the exit status."""
    parser = Parser(
        "diff",
        description="Show the differences of two tasks (parameters, facts, metrics, outputs)\n"
        "or between two submissions (file, tasks, program).",
        epilog="examples:\n  tui-lab diff 3 17\n  tui-lab diff grid#1 grid#2\n",
    )
    parser.add_argument("first", metavar="TASK | EXPERIMENT#N")
    parser.add_argument("second", metavar="TASK | EXPERIMENT#N")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.submissions import compare_submissions

    lab = lab_to_read(args)
    matches = [_SUBMISSION.fullmatch(word) for word in (args.first, args.second)]
    for match in matches:
        if match and match["mark"] == "@":
            submission, query = f"{match['name']}#{match['number']}", "tui-lab query compare"
            raise UsageError(f"{match[0]} means a version, for {query}; submission {match['number']} is {submission}")
    found: TaskDifference | SubmissionDifference
    if matches[0] and matches[1]:
        found = compare_submissions(lab, *[(match["name"], int(match["number"])) for match in matches if match])
    elif not any(matches):
        found = compare_tasks(_task(lab, args.first), _task(lab, args.second))
    else:
        raise UsageError("a task can't be compared with a submission")
    if args.json:
        print_json(found)
    else:
        print("\n".join(_lines(found)) or "no difference")
    return DONE


def _task(lab: Lab, word: str) -> Address:
    from tui_lab.client.address import resolve

    found = resolve(lab, [word])
    if len(found) != 1:
        raise UsageError(f"{word}: diff needs one task here, and this means {len(found):,}")
    return found[0]


@final
class TaskDifference(TypedDict):
    """What differs between two tasks, as `--json` prints it."""

    columns: dict[str, list[object]]
    """Both values of each column."""
    outputs: dict[str, list[str]]
    """Lines of the unified difference of each output."""


def compare_tasks(first: Address, second: Address) -> TaskDifference:
    """Changed columns, and the unified difference of each output."""
    from tui_lab.results.tables import refresh
    from tui_lab.store.task_files import TaskFile, listed

    records = []
    of_steps: dict[str, Fact] = {}
    for address in (first, second):
        if address.behind is not None:  # a run of a stage has parameters and facts, and no metrics
            runs = address.folder.stage_runs()
            records.append(
                runs.filter(runs["run_id"] == address.task).drop("run_id", "key", "tasks").row(0, named=True)
            )
            continue
        results = refresh(address.folder)
        of_steps |= results.step_facts
        table = results.tasks
        records.append(table.filter(table["task_id"] == address.task).row(0, named=True))
    known = FACTS | of_steps
    names = [name for name in dict.fromkeys([*records[0], *records[1]]) if name not in known or known[name].compared]
    columns = {
        name: [records[0].get(name), records[1].get(name)]
        for name in names
        if records[0].get(name) != records[1].get(name)
    }
    outputs = {}
    folders = [address.folder.task_folder(address.task) for address in (first, second)]
    for name in sorted({name for folder in folders for name, _ in listed(folder)}):
        before, after = (_text(TaskFile(str(folder), name)) for folder in folders)
        changes = list(difflib.unified_diff(before, after, f"{first}/{name}", f"{second}/{name}", lineterm="", n=1))
        if changes:
            outputs[name] = changes
    return {"columns": columns, "outputs": outputs}


def _text(path: TaskFile) -> list[str]:
    from tui_lab.results.extraction.text import Text

    try:
        with open(path.open(), "rb") as file:
            return Text(file.read(OUTPUT_LIMIT)).lines
    except OSError:
        return []


def _lines(found: TaskDifference | SubmissionDifference) -> Iterator[str]:
    from tui_lab.client.formatting import plural, printable

    if "columns" in found:
        width = max(map(len, found["columns"]), default=0)
        for name, (before, after) in found["columns"].items():
            yield f"{name:<{width}}  {_shown(before)} -> {_shown(after)}"
        for changes in found["outputs"].values():
            yield from map(printable, changes)
        return
    yield from map(printable, found["file"])
    kept = plural(found["tasks_kept"], "task")
    yield f"{kept} in both, {found['tasks_added']:,} added, {found['tasks_gone']:,} removed"
    if found["program_changed"]:
        yield f"files of the program that changed: {', '.join(found['program_changed'])}"


def _shown(value: Any) -> str:
    from tui_lab.client.formatting import printable

    return "-" if value is None else printable(str(value))
