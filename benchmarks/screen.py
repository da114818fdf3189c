"""How the screen behaves on a large lab that is running: answers to keys, processor time, memory.

    python benchmarks/screen.py [--tasks 1000000] [--events 500] [--keys 300] [--seconds 20]

The lab is made of a real plan and journal; a writer appends events to the journal as an engine does. The screen runs on
a terminal of its own (a pty of 120x40) and paints every frame; a key counts as answered when the terminal has got the
row that it leads to. Processor time is compared with a Textual clock on the same kind of terminal.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import random
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import make

CLOCK = """
from datetime import datetime
from textual.app import App
from textual.widgets import Digits, Static
class Clock(App):
    presses = 0
    def compose(self):
        yield Digits("")
        yield Static()
    def on_mount(self):
        self.set_interval(1, lambda: self.query_one(Digits).update(f"{datetime.now():%X}"))
    def on_key(self):
        self.presses += 1
        self.query_one(Static).update(f"press {self.presses};")
Clock().run()
"""
PAGE_UP = b"\x1b[5~"
SIZE = (40, 120)
TICK = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_STATE_HOME": str(folder)}
        environment["XDG_CONFIG_HOME"] = str(folder)
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.output = b""
        self.arrived = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                return
            with self.arrived:
                self.output = (self.output + data)[-(1 << 20) :]
                self.arrived.notify_all()

    def key(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def answer(self, keys: bytes, wanted: bytes, limit: float = 30.0) -> float:
        """Seconds from a key until the terminal has got some text."""
        with self.arrived:
            self.output = b""
            began = time.monotonic()
            self.key(keys)
            while wanted not in self.output:
                self.arrived.wait(limit)
                if time.monotonic() - began > limit:
                    raise SystemExit(f"no {wanted!r} within {limit:g} s; the last output: {self.output[-2000:]!r}")
            return time.monotonic() - began

    def processor(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def peak(self) -> int:
        """The largest memory so far, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


class Writer(threading.Thread):
    """Appends events to a journal, so many a second, as an engine does whose tasks take a second."""

    def __init__(self, journal: Path, first: int, last: int, rate: int) -> None:
        super().__init__(daemon=True)
        self.journal, self.first, self.last, self.rate = journal, first, last, rate
        self.ending = threading.Event()
        self.written = 0

    def run(self) -> None:
        from tui_lab.store.events import Assigned, EndState, Finished, KnownEvent, Requeued, Started
        from tui_lab.store.journal import Journal

        journal = Journal(self.journal)
        journal.append([Requeued(time.time(), [[self.first, self.last]], {})])
        task, running, began = self.first, list[int](), time.monotonic()
        while not self.ending.wait(0.05):
            events: list[KnownEvent] = []
            while self.written + len(events) < (time.monotonic() - began) * self.rate and task < self.last:
                now = time.time()
                if len(running) >= self.rate // 2:
                    state: EndState = "failed" if random.random() < 0.1 else "done"
                    events.append(Finished(now, running.pop(0), 2, state, exit_code=0, duration=1.0))
                events.append(Assigned(now, "localhost", [(task, 2)]))
                events.append(Started(now, task, 2))
                running.append(task)
                task += 1
            if events:
                journal.append(events)
                self.written += len(events)
        journal.close()


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def clock(seconds: float) -> float:
    """Processor time of the clock, in seconds per second."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        terminal = Terminal([sys.executable, "-c", CLOCK], Path(name))
        time.sleep(3)
        before = terminal.processor()
        time.sleep(seconds)
        used = (terminal.processor() - before) / seconds
        terminal.close()
    return used


def views(lab: Path) -> dict[str, float]:
    """What a worker takes for a table, and for an order or a filter of it, in milliseconds."""
    from tui_lab.store.lab import Lab
    from tui_lab.tui.panes.tasks.model import TableJob
    from tui_lab.tui.panes.tasks.view import View
    from tui_lab.tui.tasks.frame import TaskSource

    source = TaskSource(Lab.open(lab), "big")
    table = TableJob(source, View(), None).run().table
    wanted = {
        "table": (View(), None),
        "sort": (View(order=("duration", True)), table),
        "words": (View("done 17"), table),
        "SQL": (View("a < 50 and state = 'done'"), table),
    }
    return {
        name: round(1000 * quantile([TableJob(source, view, held).run().seconds for _ in range(5)], 0.5))
        for name, (view, held) in wanted.items()
    }


def keys(terminal: Terminal, clock: Terminal, count: int, presses: int) -> tuple[list[float], list[float]]:
    """Seconds until each of so many pages is there, going up from the last task; and by turns until the clock has
    counted a key, which tells what the machine is up to."""
    terminal.answer(b"G", str(count - 1).encode())
    time.sleep(1)
    with terminal.arrived:
        terminal.output = b""
    terminal.key(PAGE_UP)
    time.sleep(1)
    digits = len(str(count - 1))
    seen = [int(word) for word in re.findall(rb"(?<!\d)\d{%d}(?!\d)" % digits, terminal.output)]
    step = count - 1 - min(number for number in seen if number > count // 2)
    task, answers, plain = count - 1 - step, list[float](), list[float]()
    for number in range(presses):
        time.sleep(random.uniform(0.03, 0.15))
        task -= step
        answers.append(terminal.answer(PAGE_UP, str(task).encode()))
        time.sleep(random.uniform(0.01, 0.05))
        plain.append(clock.answer(b"x", b"%d;" % (number + 1)))
    return answers, plain


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    report: dict[str, Any] = {"clock, processor": round(clock(args.seconds), 4)}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        make(folder, args.tasks, metrics="")
        lab = folder / "lab"
        count = sum(last - first + 1 for first, last in _planned(lab))
        report["tasks"] = count
        report["views, ms"] = views(lab)
        began = time.monotonic()
        terminal = Terminal([sys.executable, "-m", "tui_lab", "lab"], folder)
        terminal.answer(b"", b" 2 s")
        report["open, s"] = round(time.monotonic() - began, 2)
        time.sleep(3)
        before = terminal.processor()
        time.sleep(args.seconds)
        report["idle, processor"] = round((terminal.processor() - before) / args.seconds, 4)
        writer = Writer(lab / "big" / "journal.jsonl", count * 6 // 10, count - 1, args.events)
        writer.start()
        time.sleep(5)
        before, events = terminal.processor(), writer.written
        time.sleep(args.seconds)
        used = (terminal.processor() - before) / args.seconds
        report["live, events a second"] = round((writer.written - events) / args.seconds)
        report["live, processor"] = round(used, 4)
        report["live, times the clock"] = round(used / max(report["clock, processor"], 1e-4), 1)
        clock_terminal = Terminal([sys.executable, "-c", CLOCK], folder)
        time.sleep(2)
        answers, plain = keys(terminal, clock_terminal, count, args.keys)
        clock_terminal.close()
        for name_, share in (("median", 0.5), ("p99", 0.99), ("worst", 1.0)):
            report[f"key, {name_}, ms"] = round(1000 * quantile(answers, share), 1)
            report[f"key of the clock, {name_}, ms"] = round(1000 * quantile(plain, share), 1)
        report["memory, MB"] = terminal.peak()
        writer.ending.set()
        terminal.close()
    print(json.dumps(report, indent=2))


def _planned(lab: Path) -> Sequence[Sequence[int]]:
    from tui_lab.store.lab import Lab

    return Lab.open(lab).experiment("big").state().submissions[-1].planned


if __name__ == "__main__":
    main()
