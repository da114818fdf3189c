"""`tui-lab logs TASK...`: what a task printed, and with -f what it prints now."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui_lab.cli.errors import UsageError
from tui_lab.cli.main import DONE
from tui_lab.cli.options import Parser, add_common, open_lab

if TYPE_CHECKING:
    from tui_lab.cli.address import Address
    from tui_lab.store.layout import Stream

BLOCK: Final = 1 << 20
LOOK: Final = 0.2  # seconds between looks at a growing file


def main(arguments: list[str]) -> int:
    parser = Parser(
        "logs",
        description="Print what a task wrote to its output.\n\n"
        "TASK is [EXPERIMENT/]ID[.ATTEMPT][:STEP], or a SQL condition such as \"state = 'failed'\".",
    )
    parser.add_argument("tasks", nargs="+", metavar="TASK")
    parser.add_argument("--stdout", action="store_true", help="standard output alone")
    parser.add_argument("--stderr", action="store_true", help="standard error alone")
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing until the task ends")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help="the last N lines of each file")
    parser.add_argument("--raw", action="store_true", help="leave escape codes in, also on a terminal")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.cli.address import resolve

    addresses = resolve(open_lab(args), args.tasks)
    if not addresses:
        raise UsageError("no task is meant by that")
    if args.follow and len(addresses) > 1:
        raise UsageError(f"-f follows one task, and {len(addresses):,} are named")
    streams: list[Stream] = ["stdout", "stderr"]
    if args.stdout != args.stderr:
        streams = ["stdout"] if args.stdout else ["stderr"]
    for address in addresses:
        if args.follow:
            _follow(address, streams, args)
        else:
            _print(address, streams, args, title=len(addresses) > 1)
    return DONE


def files(address: Address, streams: list[Stream]) -> list[Path]:
    """The output files of an attempt, by default of the newest. Raises UsageError for an unknown step."""
    from tui_lab.spec.problem import suggest
    from tui_lab.store.layout import stream_file

    columns = address.folder.state().columns
    attempt = address.attempt or columns["attempts"][address.task] or 1
    steps = list(dict.fromkeys(step.name for step in address.folder.spec().steps))
    if address.step is not None:
        if address.step not in steps:
            known = [step for step in steps if step is not None]
            raise UsageError(f'{address.folder.name} has no step "{address.step}"; {suggest(address.step, known)}')
        steps = [address.step]
    folder = address.folder.task_folder(address.task)
    return [folder / stream_file(stream, step, attempt) for step in steps for stream in streams]


def _print(address: Address, streams: list[Stream], args: argparse.Namespace, title: bool) -> None:
    found = [path for path in files(address, streams) if path.exists() and path.stat().st_size]
    if not found and not title:
        print(f"{address} printed nothing", file=sys.stderr)
    for path in found:
        if title or len(found) > 1:
            sys.stdout.flush()
            print(f"==> {address} {path.name} <==", flush=True)
        with open(path, "rb") as file:
            if args.lines is not None:
                file.seek(_start_of_last(path, args.lines))
            end = b"\n"
            while block := file.read(BLOCK):
                _write(block, args.raw)
                end = block
            if not end.endswith(b"\n") and sys.stdout.isatty():
                _write(b"\n", True)


def _start_of_last(path: Path, lines: int) -> int:
    """Offset at which the last `lines` lines begin, read from the end: a file may be huge."""
    size = position = path.stat().st_size
    found = 0
    with open(path, "rb") as file:
        while position > 0:
            start = max(0, position - BLOCK)
            file.seek(start)
            block = file.read(position - start)
            at = len(block) - (1 if position == size and block.endswith(b"\n") else 0)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                found += 1
                if found == lines:
                    return start + at + 1
            position = start
    return 0 if lines > 0 else size


def _write(block: bytes, raw: bool) -> None:
    """Write output as it is; on a terminal without what could touch it."""
    if sys.stdout.isatty() and not raw:
        from tui_lab.results.text import strip_escapes

        text = strip_escapes(block).decode("utf-8", "replace")
        block = "".join(c for c in text if c.isprintable() or c in "\n\t\r").encode()
    sys.stdout.flush()
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _follow(address: Address, streams: list[Stream], args: argparse.Namespace) -> None:
    """Print a task's output as it grows, until the task has ended."""
    from tui_lab.store import fold

    offsets: dict[Path, int] = {}
    while True:
        state = address.folder.state()
        code = state.columns["state"][address.task]
        ended = code not in (fold.PENDING, fold.RUNNING)
        for path in files(address, streams):
            try:
                with open(path, "rb") as file:
                    if path not in offsets:
                        offsets[path] = _start_of_last(path, args.lines) if args.lines is not None else 0
                    file.seek(offsets[path])
                    while block := file.read(BLOCK):
                        _write(block, args.raw)
                        offsets[path] += len(block)
            except FileNotFoundError:
                continue
        if ended:
            return
        time.sleep(LOOK)


