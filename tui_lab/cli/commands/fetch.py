"""`tui-lab fetch`: fetch files that a task left on its node."""

from __future__ import annotations

import os
import re
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Final

from tui_lab.cli.options import TASK, Parser, add_common, add_json, examples, open_lab, print_json
from tui_lab.client.errors import NothingToDoError, UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.experiment.data_types import JsonObject
from tui_lab.protocol.control import FetchFiles
from tui_lab.results.terminal.guard import console as new_console

if TYPE_CHECKING:
    from tui_lab.client.address import Address
    from tui_lab.client.attempts import Attempt, AttemptFile
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.lab import Lab

_NUMBERED: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_.-]*/)?\d+(?:-\d+)?(?:\.\d+)?")


@dataclass(frozen=True)
class Wanted:
    """The files to fetch of one attempt."""

    address: Address
    attempt: Attempt
    files: list[AttemptFile]
    globs: list[str]
    """What to ask for: by name what is listed, else as it was said."""

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files)

    def fetched_bytes(self) -> int:
        """Return the bytes that are here already, including parts of files."""
        from tui_lab.client.elsewhere import arrived

        place = self.address.folder.task_folder(self.address.task)
        return arrived(place, {one.name: one.size for one in self.files})


def main(arguments: list[str]) -> int:
    """Run `tui-lab fetch`; return the exit status."""
    parser = Parser(
        "fetch",
        description="Fetch files that a task left on its node, into the task's folder: files that `keep` excludes,\n"
        "or that were too large. An interrupted transfer is resumed. GLOB is relative to the task's folder; `**`\n"
        "spans folders, and a folder stands for all files in it.\n\n" + TASK,
        epilog=examples(
            ("tui-lab fetch 17", "all that task 17 left"),
            ("tui-lab fetch 17 '**/*.pt'", "the models only"),
            ("tui-lab fetch \"state = 'done'\" 'ckpt/last.*'", "of many tasks"),
        ),
    )
    parser.add_argument("words", nargs="+", metavar="TASK | GLOB", help="tasks, then the files to fetch")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.address import resolve
    from tui_lab.engine.client import EngineClient

    lab = open_lab(args)
    tasks, globs = split_words(lab, args.words)
    wanted = choose(resolve(lab, tasks), globs)
    client = EngineClient.start(lab)
    fetched = _fetch(client, wanted, quiet=args.json)
    client.close()
    if args.json:
        print_json({"lab": str(lab.path), "fetched": fetched})
    return DONE


def split_words(lab: Lab, words: list[str]) -> tuple[list[str], list[str]]:
    """Return tasks and globs: the first word is a task, the others if they look like one."""
    experiments = set(lab.experiments())
    tasks = [words[0]]
    globs: list[str] = []
    for word in words[1:]:
        is_task = _NUMBERED.fullmatch(word) or word in experiments or re.search(r"[\s=<>]", word)
        (tasks if is_task else globs).append(word)
    return tasks, globs


def choose(addresses: list[Address], globs: list[str]) -> list[Wanted]:
    """Return the files to fetch, of the given attempt, or of the last that left any. Raises UsageError, and
    NothingToDoError where all are here."""
    from tui_lab.client.attempts import attempts
    from tui_lab.portable.globs import matcher

    wanted = matcher(globs or None)
    found: list[Wanted] = []
    seen: list[str] = []
    for address in addresses:
        tried = [one for one in attempts(address.folder, address.task) if one.left or one.unlisted]
        tried = [one for one in tried if address.attempt in (None, one.number)]
        if not tried:
            continue
        last = tried[-1]
        seen += [file.name for file in last.left]
        missing = [file for file in last.left if wanted(file.name) and not file.home]
        if last.unlisted:  # only the node knows all that is there
            found.append(Wanted(address, last, missing, globs or ["**"]))
        elif missing:
            found.append(Wanted(address, last, missing, [escape(file.name) for file in missing]))
    if not found:
        which = str(addresses[0]) if len(addresses) == 1 else "these tasks"
        if seen and globs and not any(wanted(name) for name in seen):
            there = f"{', '.join(seen[:5])}{', ...' if len(seen) > 5 else ''}"
            raise UsageError(f"{which} left no file that matches {' or '.join(globs)}; what stayed: {there}")
        if all(one.folder.state().columns["discarded"][one.task] for one in addresses):
            raise NothingToDoError(f"{which}: its files were removed (`retain: until-done`)")
        raise NothingToDoError(
            f"{which}: " + ("all these files are here already" if seen else "nothing stayed on a node")
        )
    return found


def _fetch(client: EngineClient, wanted: list[Wanted], *, quiet: bool) -> list[JsonObject]:
    """Fetch the files of one task after the other, and show the progress."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from tui_lab.client.formatting import plural, size

    console = new_console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True) if console.is_terminal and not quiet else None
    fetched: list[JsonObject] = []
    with bar or nullcontext():
        shown = bar.add_task("", total=sum(one.size for one in wanted)) if bar is not None else None
        before = 0
        for one in wanted:

            def show(one: Wanted = one, before: int = before) -> None:
                if bar is not None and shown is not None:
                    bar.update(shown, description=str(one.address), completed=before + one.fetched_bytes())

            name, task = one.address.folder.name, one.address.task
            answer = client.request(FetchFiles(name, task, dict(os.environ), one.attempt.number, one.globs), watch=show)
            before += one.size
            fetched.append(
                {
                    "experiment": one.address.folder.name,
                    "task": one.address.task,
                    "attempt": one.attempt.number,
                    "node": one.attempt.node,
                    "files": answer.files,
                    "bytes": answer.bytes,
                }
            )
            if not quiet:
                what = f"{plural(answer.files, 'file')}, {size(answer.bytes)} from {one.attempt.node}"
                print(f"{one.address}: {what}", file=sys.stderr)
    return fetched
