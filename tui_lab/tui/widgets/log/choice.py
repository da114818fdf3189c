"""Which outputs of a task are shown: its attempt, its streams, its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rich.text import Text

from tui_lab.client.formatting import span
from tui_lab.store.layout import Stream, stream_file
from tui_lab.tui.base.formatting import mark

Streams = Literal["stdout", "stderr", "both"]
STREAMS: Final[tuple[Streams, ...]] = ("stdout", "stderr", "both")


@dataclass(frozen=True)
class TaskDetail:
    """What is known of one task, or of the run of a stage behind one. Durations are in seconds; None where a fact is
    not known. address: what names it. shared: how many tasks need the run of a stage."""

    experiment: str
    task: int
    state: str
    folder: Path
    address: str
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    attempts: int = 0
    node: str | None = None
    duration: float | None = None
    steps: tuple[str | None, ...] = (None,)
    commands: tuple[str, ...] = ()
    blocked_by: str | None = None  # the address of the run of a stage because of which it failed
    shared: int = 1
    line: str = ""  # to paste into a shell, which repeats the task

    @property
    def running(self) -> bool:
        """Whether the task runs."""
        return self.state == "running"

    @property
    def why(self) -> str:
        """How it ended, in a word or two: `exit 3`, `signal 9`, `timeout`."""
        if self.reason == "exit" and self.exit_code is not None:
            return f"exit {self.exit_code}"
        if self.reason == "signal" and self.signal is not None:
            return f"signal {self.signal}"
        return self.reason or ""


@dataclass(frozen=True)
class Choice:
    """streams: None shows standard error for a failed task, else standard output. attempt: None is the newest. step:
    None shows all."""

    streams: Streams | None = None
    attempt: int | None = None
    step: str | None = None


@dataclass(frozen=True)
class Output:
    """A file of output that may exist."""

    name: str
    stream: Stream


def outputs(detail: TaskDetail, choice: Choice) -> list[Output]:
    """Return the outputs of a choice, in the order of the steps."""
    attempt = choice.attempt or max(1, detail.attempts)
    steps: Sequence[str | None] = detail.steps if choice.step is None else [choice.step]
    streams: list[Stream] = ["stdout", "stderr"]
    if choice.streams is not None and choice.streams != "both":
        streams = [choice.streams]
    return [Output(stream_file(stream, step, attempt), stream) for step in steps for stream in streams]


def most_relevant(detail: TaskDetail, filled: Sequence[Output]) -> Stream:
    """Return the stream to show first, of those that are not empty."""
    streams = {output.stream for output in filled}
    wanted: Stream = "stderr" if detail.state in ("failed", "lost") else "stdout"
    other: Stream = "stdout" if wanted == "stderr" else "stderr"
    return other if wanted not in streams and other in streams else wanted


def facts_line(detail: TaskDetail, choice: Choice, ascii_only: bool) -> Text:
    """Return the result of a task, in a line."""
    dot = " - " if ascii_only else " · "
    text = Text(f"{detail.address} ", "bold", no_wrap=True)
    text.append(f"{mark(detail.state, ascii_only)} {detail.state}")
    if detail.why:
        text.append(f" ({detail.why})")
    if detail.attempts > 1:
        text.append(f"{dot}attempt {choice.attempt or detail.attempts} of {detail.attempts}")
    if detail.shared > 1:
        text.append(f"{dot}{detail.shared:,} tasks share it")
    if detail.duration is not None and detail.attempts:
        text.append(f"{dot}{span(detail.duration)}")
    if detail.node:
        text.append(f"{dot}{detail.node}")
    return text
