"""`--run FILE --first`: one task in the foreground, its output on screen, nothing of it kept in the lab.

`python -m tui_lab.client.foreground LAB EXPERIMENT TASK`, which the screen starts, does so for any task of a lab, and
ends when its standard input does.

Everyone tries one before three thousand. It goes the way of every task: an agent starts it, in a folder of its own that
is removed afterwards.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE, FAILED, INTERRUPTED, USAGE
from tui_lab.client.formatting import span
from tui_lab.client.submission import Prepared
from tui_lab.engine.tasks.builder import TaskBuilder
from tui_lab.engine.transports.channel import GREETING, boot_command, boot_input
from tui_lab.experiment.model import Experiment
from tui_lab.protocol.agent import (
    Ack,
    Bye,
    Finished,
    FromAgent,
    Hello,
    Setup,
    Start,
    Started,
    Stop,
    ToAgent,
    decode,
    encode,
)
from tui_lab.results.failures.messages import PIPE
from tui_lab.results.terminal.guard import guard_streams
from tui_lab.store import layout
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.store.plan import Plan

_LOOK: Final = 0.05  # seconds between looks at what the task has printed
_CHUNK: Final = 1 << 16
_END: Final = 10.0  # seconds that the agent has to end once its task has


def run_first(prepared: Prepared) -> int:
    """Run the first task that the command line chooses; its exit status tells success. Raises UsageError."""
    plan = prepared.plan
    chosen = prepared.queued if len(prepared.queued) else plan.tasks["task_id"]
    row = plan.row(chosen[0])
    if row is None:
        raise UsageError("no task is chosen")
    code = run_row(prepared.experiment, plan, row)
    if code == DONE:
        _say_metrics(prepared)
    return code


def run_row(experiment: Experiment, plan: Plan, row: int) -> int:
    """Run one task of a plan in the foreground; its exit status tells success. Raises UsageError."""
    with tempfile.TemporaryDirectory(prefix="tui-lab-first-") as folder, _term_as_interrupt():
        last = TaskBuilder(experiment, plan, Path(folder), "first")
        for builder, one in last.chain(row):
            if last.stages:
                print(f"stage {builder.experiment.stage}", file=sys.stderr)
            with _Agent(Path(folder) / f"agent-{builder.stage or ''}") as agent:
                code = _run(builder, one, agent)
            if code != DONE:
                break
        return code


def run_planned(lab: str, name: str, task: int) -> int:
    """Run a task in the foreground by the newest plan that has it. Raises UsageError, LabError."""
    folder = Lab.open(Path(lab)).experiment(name)
    plan = folder.plan_of(task)
    row = plan.row(task)
    if row is None:
        raise UsageError(f"there is no task {task}")
    return run_row(folder.spec(plan.number), plan, row)


def _run(builder: TaskBuilder, row: int, agent: _Agent) -> int:
    message = builder.start(row, 1)
    needs: Any = message.needs or {}
    offered = {name: needs[name] for name in builder.experiment.needs.resources if name in needs}
    agent.send(Hello(1, "first", "localhost", 1, resources=offered), builder.context(os.environ), message)
    outputs = _Outputs(builder, row, Path(message.folder))
    began = time.monotonic()
    interrupts = pid = 0
    while True:
        try:
            found = agent.receive(_LOOK)
            outputs.copy()
        except (KeyboardInterrupt, BrokenPipeError):
            interrupts += 1
            _end(agent, message, pid if interrupts > 1 else 0)
            continue
        match found:
            case Setup(running_for=running_for) if running_for is not None:
                print("setup is running", file=sys.stderr)
            case Started():
                pid = found.pid or 0
            case Finished():
                outputs.copy()
                agent.send(Ack([found.key]))
                return INTERRUPTED if interrupts else _told(found, outputs, time.monotonic() - began)
            case _:
                pass


def _end(agent: _Agent, message: Start, pid: int) -> None:
    """Stop the task: TERM and its grace; the second time KILL, if the pid is given."""
    if pid:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    agent.send(Stop(message.key, "stopped", message.grace))


def _told(finished: Finished, outputs: _Outputs, seconds: float) -> int:
    """Print how the task ended; return the exit status."""
    if finished.state == "done":
        wrote = outputs.others()
        files = f"; it wrote {', '.join(wrote)}" if wrote else ""
        print(f"✓ done in {span(seconds)}{files}", file=sys.stderr)
        return DONE
    reason = finished.reason or ""
    if reason == "start":
        print(f"✗ it did not start: {finished.message or ''}", file=sys.stderr)
    else:
        if finished.raised is not None:
            reason = f"{finished.raised.type} at {finished.raised.at}"
        elif reason == "outs":
            reason = f"outs: {finished.message}"
        what = {"exit": f"exit {finished.exit_code}", "signal": f"signal {finished.signal}"}
        why = f": {PIPE}" if finished.signal == signal.SIGPIPE else ""
        print(f"✗ {what.get(reason, reason)} after {span(seconds)}{why}", file=sys.stderr)
    return FAILED


class _Outputs:
    """Copies what the task prints to standard output and error while it runs, each step's command first."""

    def __init__(self, builder: TaskBuilder, row: int, folder: Path) -> None:
        self.folder = folder
        self.steps = list(zip([step.name for step in builder.experiment.steps], builder.shown(row), strict=True))
        self.said: set[str | None] = set()
        self.files: dict[str, BinaryIO] = {}

    def copy(self) -> None:
        """Raises BrokenPipeError if standard output is closed."""
        for name, _ in self.steps:
            for stream, ours in (("stdout", sys.stdout), ("stderr", sys.stderr)):
                file = self.open(layout.stream_file("stdout" if stream == "stdout" else "stderr", name, 1))
                if file is None:
                    break  # this step has not begun
                if name not in self.said:
                    self.said.add(name)
                    for other, shown in self.steps:
                        if other == name:
                            print(f"$ {shown}", file=sys.stderr, flush=True)
                while data := file.read(_CHUNK):
                    ours.flush()
                    ours.buffer.write(data)
                    ours.buffer.flush()

    def open(self, name: str) -> BinaryIO | None:
        if name not in self.files:
            with suppress(OSError):
                self.files[name] = (self.folder / name).open("rb")
        return self.files.get(name)

    def others(self) -> list[str]:
        """Return the other files that the task has made."""
        own = {self.folder / name for name in self.files}
        return sorted(
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file() and path not in own
        )


class _Agent:
    """An agent for one task, over a pipe. It ends with the `with` block."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.unread = b""

    def __enter__(self) -> _Agent:
        self.relay = subprocess.Popen(
            boot_command(sys.executable, str(self.spool)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C is for us
        )
        while GREETING not in self.unread:
            self.read()
        self.unread = b""
        self.write(boot_input())
        return self

    def __exit__(self, *_: object) -> None:
        self.send(Bye())
        assert self.relay.stdin is not None and self.relay.stdout is not None and self.relay.stderr is not None
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            self.relay.wait(_END)  # it ends with the agent
        for stream in (self.relay.stdin, self.relay.stdout, self.relay.stderr):
            stream.close()
        self.relay.wait()

    def send(self, *messages: ToAgent) -> None:
        self.write(b"".join(map(encode, messages)))

    def write(self, data: bytes) -> None:
        assert self.relay.stdin is not None
        with suppress(BrokenPipeError):  # its own words say why, to who reads
            self.relay.stdin.write(data)

    def receive(self, seconds: float) -> FromAgent | None:
        """Return the next message; None if none comes in time. Raises UsageError where the agent is gone."""
        assert self.relay.stdout is not None
        if b"\n" not in self.unread:
            readable, _, _ = select.select([self.relay.stdout], [], [], seconds)
            if not readable:
                return None
            self.read()
        line, newline, rest = self.unread.partition(b"\n")
        if not newline:
            return None
        self.unread = rest
        return decode(line)

    def read(self) -> None:
        assert self.relay.stdout is not None and self.relay.stderr is not None
        data = self.relay.stdout.read(_CHUNK)
        if not data:
            raise UsageError(f"its agent did not start: {self.relay.stderr.read().decode(errors='replace').strip()}")
        self.unread += data


@contextmanager
def _term_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP act as Ctrl-C does: the task must not outlive this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _say_metrics(prepared: Prepared) -> None:
    count = len(prepared.queued)
    if count > 1:
        print(f"The same command without --first runs all {count:,}.", file=sys.stderr)


def _end_with_input() -> None:
    """Send SIGTERM to this process once the other end of its standard input is closed."""
    while sys.stdin.buffer.read(_CHUNK):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(lab: str, name: str, task: str) -> int:
    """Run one planned task in the foreground; return its exit status. The process ends when its standard input does."""
    guard_streams()
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        return run_planned(lab, name, int(task))
    except (LabError, UsageError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # the thread may be in the middle of a read
