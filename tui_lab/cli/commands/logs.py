"""`tui-lab logs TASK...`: print the output of tasks; with -f follow it."""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import IO, TYPE_CHECKING, Final

from tui_lab.cli.options import TASK, Parser, add_common, examples, lab_to_read
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.protocol.control import ReadFile
from tui_lab.results.terminal.guard import own

if TYPE_CHECKING:
    from tui_lab.client.address import Address
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.lab import Lab
    from tui_lab.store.layout import Stream
    from tui_lab.store.task_files import TaskFile

BLOCK: Final = 1 << 20
LOOK: Final = 0.2  # seconds between looks at a growing file
ASK: Final = 1.0  # seconds between looks for an engine


def main(arguments: list[str]) -> int:
    """Run `tui-lab logs`; return the exit status."""
    parser = Parser(
        "logs",
        description=f"Print the output of tasks.\n\n{TASK}",
        epilog=examples(
            ("tui-lab logs 17", "task 17 of the newest experiment"),
            ("tui-lab logs -f grid/17", "follow its output"),
            ("tui-lab logs --stderr -n 20 \"state = 'failed'\"", "how failed tasks ended"),
        ),
    )
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="what to print")
    parser.add_argument("--stdout", action="store_true", help="only standard output")
    parser.add_argument("--stderr", action="store_true", help="only standard error")
    parser.add_argument("-f", "--follow", action="store_true", help="follow the output until the task ends")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help="the last N lines of each file")
    parser.add_argument("--raw", action="store_true", help="keep escape codes, even on a terminal")
    add_common(parser)
    args = parser.parse_args(arguments)

    if args.lines is not None and args.lines < 0:
        raise UsageError("-n takes 0 or a larger number")
    from tui_lab.client.address import resolve
    from tui_lab.client.reading import noted

    lab = lab_to_read(args)
    addresses = resolve(lab, args.tasks)
    if not addresses:
        raise UsageError("no task matches")
    if args.follow and len(addresses) > 1:
        raise UsageError(f"-f follows one task, and {len(addresses):,} are named")
    streams: list[Stream] = ["stdout", "stderr"]
    if args.stdout != args.stderr:
        streams = ["stdout"] if args.stdout else ["stderr"]
    for address in addresses:
        with noted(str(address)):
            outputs = Outputs(address, streams)
        if args.follow:
            _follow(outputs, lab, args)
        else:
            _print(outputs, lab, args, title=len(addresses) > 1)
    return DONE


class Outputs:
    """The output files of a task. Raises UsageError for an unknown step."""

    def __init__(self, address: Address, streams: list[Stream]) -> None:
        from tui_lab.experiment.yaml.problem import suggest

        self.address = address
        self.streams = streams
        self.place = address.folder.task_folder(address.task)
        self.steps = list(dict.fromkeys(step.name for step in address.folder.spec_of(address.task).steps))
        if address.step is not None:
            if address.step not in self.steps:
                known = [step for step in self.steps if step is not None]
                listed = f"it has: {', '.join(known)}" if known else "its steps have no names"
                what = f'{address.folder.name} has no step "{address.step}"'
                raise UsageError(f"{what}; {suggest(address.step, known) or listed}")
            self.steps = [address.step]

    def files(self) -> list[TaskFile]:
        """Return the files of the given attempt, by default the newest. Raises UsageError for an unknown attempt."""
        from tui_lab.store.layout import stream_file
        from tui_lab.store.task_files import TaskFile

        wanted = self.address.attempt
        had = self.address.folder.state().columns["attempts"][self.address.task]
        if wanted is not None and not 1 <= wanted <= had:
            raise UsageError(f"{self.address} has no attempt {wanted}; it had {had}")
        attempt = wanted or had or 1
        names = [stream_file(stream, step, attempt) for step in self.steps for stream in self.streams]
        return [TaskFile(str(self.place), name) for name in names]

    def trouble(self) -> str:
        """Return why the outputs can't be read, though they may exist; else empty."""
        return next((f"can't be read: {file.name}: {why}" for file in self.files() if (why := file.trouble())), "")

    @property
    def reason(self) -> str | None:
        """Return why the last attempt failed; None where it did not."""
        from tui_lab.store import fold

        return fold.REASONS[self.address.folder.state().columns["reason"][self.address.task]]

    @property
    def state(self) -> int:
        """The state of the task, as a code of the fold."""
        code: int = self.address.folder.state().columns["state"][self.address.task]
        return code


def _print(outputs: Outputs, lab: Lab, args: argparse.Namespace, title: bool) -> None:
    from tui_lab.store import fold

    found: dict[str, Callable[[], IO[bytes]]] = {path.name: _opener(path) for path in outputs.files() if path.size}
    engine = _engine(lab) if outputs.state == fold.RUNNING and not found else None
    if engine is not None:
        found = _on_node(outputs, engine)
        engine.close()
    if not found and not title:
        nothing = "printed nothing" if engine is None else "has printed nothing yet"
        if outputs.state == fold.PENDING:
            nothing = "has not begun"
        if outputs.reason == "start":
            nothing = f"did not start; tui-lab show {outputs.address} says why"
        elif outputs.reason == "dependency" and not os.path.lexists(outputs.place):
            nothing = f"never began: what it comes after failed; tui-lab show {outputs.address} names it"
        elif outputs.state != fold.PENDING and engine is None and not os.path.lexists(outputs.place):
            nothing = "has no output here: its folder is gone"
        nothing = outputs.trouble() or nothing
        print(f"{outputs.address} {nothing}", file=sys.stderr)
    for name, opened in found.items():
        if title or len(found) > 1:
            print(f"==> {outputs.address} {name} <==", flush=True)
        writer = Writer(args.raw)
        with opened() as file:
            if args.lines is not None:
                file.seek(_start_of_last(file, args.lines))
            while block := file.read(BLOCK):
                writer.write(block)
        writer.end(line=True)


def _start_of_last(file: IO[bytes], lines: int) -> int:
    """Return the offset of the last `lines` lines, read from the end: a file may be huge."""
    size = position = file.seek(0, os.SEEK_END)
    found = 0
    while position > 0 and lines > 0:
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


class Writer:
    """Writes output to standard output unchanged; on a terminal by whole lines, without control characters."""

    def __init__(self, raw: bool) -> None:
        self.plain = sys.stdout.isatty() and not raw
        self.rest = b""
        self.last = b"\n"

    def write(self, block: bytes) -> None:
        """Write a block of bytes. Where the text is cleaned, an incomplete last line waits for the next block."""
        if self.plain:
            head, newline, self.rest = (self.rest + block).rpartition(b"\n")
            block = head + newline
            if len(self.rest) > BLOCK:
                block, self.rest = block + self.rest, b""
        self._put(block)

    def end(self, line: bool) -> None:
        """Write the rest. line: on a terminal, begin a new line."""
        self._put(self.rest)
        self.rest = b""
        if line and sys.stdout.isatty() and not self.last.endswith(b"\n"):
            self._put(b"\n")

    def _put(self, block: bytes) -> None:
        if not block:
            return
        if self.plain:
            from tui_lab.results.extraction.text import strip_escapes

            text = strip_escapes(block).decode("utf-8", "replace")
            text = "".join(c for c in text if c.isprintable() or c in "\n\t\r")
            own(sys.stdout).write(text)
            sys.stdout.flush()
            self.last = text.encode() or self.last
            return
        sys.stdout.flush()
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        self.last = block or self.last


def _follow(outputs: Outputs, lab: Lab, args: argparse.Namespace) -> None:
    """Print a task's output as it grows, until the task has ended or nothing can end it any more."""
    from tui_lab.engine.lock import engine_elsewhere
    from tui_lab.store import fold

    offsets: dict[TaskFile, int] = {}
    writer = Writer(args.raw)
    asked = time.monotonic()
    engine: EngineClient | None = None
    while True:
        ended = outputs.state not in (fold.PENDING, fold.RUNNING)
        for path in outputs.files():
            try:
                with open(path.open(), "rb") as file:
                    if path not in offsets:
                        offsets[path] = _start_of_last(file, args.lines) if args.lines is not None else 0
                    file.seek(offsets[path])
                    while block := file.read(BLOCK):
                        writer.write(block)
                        offsets[path] += len(block)
            except FileNotFoundError:
                if not ended and engine is not None:
                    offsets[path] = _from_node(engine, outputs, path, offsets.get(path, 0), writer.write)
            except OSError:
                pass  # its folder has become a link, or the file something else: said at the end
        if ended:
            writer.end(line=True)
            if trouble := outputs.trouble():
                print(f"{outputs.address} {trouble}", file=sys.stderr)
            return
        if time.monotonic() - asked > ASK or engine is None:
            asked = time.monotonic()
            engine = engine if engine is not None and not engine.wait(0) else _engine(lab)
            if engine is None and engine_elsewhere(lab) is None and outputs.state in (fold.PENDING, fold.RUNNING):
                writer.end(line=True)
                raise UsageError(f"{outputs.address} has not ended, and nothing is running in {lab.path}")
        time.sleep(LOOK)


def _opener(path: TaskFile) -> Callable[[], IO[bytes]]:
    return lambda: open(path.open(), "rb")


def _same(file: IO[bytes]) -> IO[bytes]:
    return file


def _on_node(outputs: Outputs, engine: EngineClient) -> dict[str, Callable[[], IO[bytes]]]:
    """Return what opens copies of the files that a running task has on another machine, without those that are
    empty."""
    import tempfile

    found: dict[str, Callable[[], IO[bytes]]] = {}
    for path in outputs.files():
        copy = tempfile.TemporaryFile()  # noqa: SIM115 -- whoever prints it closes it
        if _from_node(engine, outputs, path, 0, copy.write):
            copy.seek(0)
            found[path.name] = partial(_same, copy)
    return found


def _from_node(
    engine: EngineClient, outputs: Outputs, path: TaskFile, offset: int, write: Callable[[bytes], object]
) -> int:
    """Write a file of another machine from an offset on, through the engine; return the offset after it."""
    from tui_lab.store.errors import LabError

    task, folder = outputs.address.task, outputs.address.folder
    attempt = outputs.address.attempt or folder.state().columns["attempts"][task]
    try:
        while True:
            answer = engine.request(ReadFile(folder.name, task, attempt, path.name, offset, BLOCK))
            block = base64.b64decode(answer.data or "")
            if not block:
                return offset
            write(block)
            offset += len(block)
    except LabError:
        return offset  # the node is away, or the engine has just ended: the next look tells


def _engine(lab: Lab) -> EngineClient | None:
    from tui_lab.engine.client import EngineClient
    from tui_lab.engine.lock import engine_elsewhere

    return EngineClient.connect(lab) if engine_elsewhere(lab) is None else None
