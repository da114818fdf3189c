"""How the screen behaves on a large lab that is running: answers to keys, processor time, memory.

    python benchmarks/screen.py [--tasks 1000000] [--events 500] [--keys 300] [--seconds 60] [--size 120x40]
                                [--panes tasks] [--engine] [--check]

The lab is made of a real plan and journal; a writer appends events to the journal as an engine does, and the first of
its tasks write steps. The screen runs on a terminal of its own and paints every frame. In Tasks a key counts as
answered when the terminal has got the row that it leads to; in other panes (`--panes all`) when it gets anything after
ctrl+g, which puts a letter on each panel. Processor time is compared with a Textual clock on the same kind of terminal.

--engine: an engine is attached while nothing happens: it runs a task that waits, and says nothing.

--check: ends with 1, and says why, where a limit is exceeded in each of three tries. A key has as long as KEY says, or
SLOWER times as long as one of the clock. On a machine that is busy with others, which the clock's keys tell, the time
does not count in which these had the processor.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.context import SpawnProcess
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
PAGE_UP, JUMP = b"\x1b[5~", b"\x07"
PANES = ("dashboard", "experiment", "nodes", "tasks", "results", "query", "chart", "history")
"""By their digits, from 0."""
STEPS = 64
"""Running tasks that say something at each step."""
KEY = 0.05
"""Seconds in which 99 of 100 keys are to be answered."""
SLOWER = 3.0
"""Times what the clock's keys take, where that is more: on a machine that is slow, or busy with others."""
BUSY = 0.025
"""Seconds that 99 of 100 keys of the clock take at most on a quiet machine."""
IDLE = 1.2
"""Times what the clock takes of the processor while nothing happens,"""
NOISE = 0.0005
"""and so much of a core, which is what two measurements of the same clock differ by."""
LIVE = 0.25
"""Of a core, with 500 events a second."""
TRIES = 3
"""Runs of which one must keep the limits: a machine that has other work delays keys."""
MEMORY = 250, 450
"""MB at most, and bytes for each task."""


def _take_terminal() -> None:
    """Make the terminal that of the session: where the benchmark is killed, it hangs up, and the program ends."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words: list[str], folder: Path, size: tuple[int, int] = (120, 40)) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_STATE_HOME": str(folder)}
        environment["XDG_CONFIG_HOME"] = str(folder)
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        with suppress(OSError):  # a session has a share of its own: it gets the `nice` of this one
            share = Path("/proc/self/autogroup").read_text().rpartition(" ")[2]
            Path(f"/proc/{self.process.pid}/autogroup").write_text(share)
        self.output = b""
        self.waited = 0.0  # seconds in which the last key could go on, and others had the processor
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
            began, before = time.monotonic(), self._waited()
            self.key(keys)
            while wanted not in self.output:
                self.arrived.wait(limit)
                if time.monotonic() - began > limit:
                    raise SystemExit(f"no {wanted!r} within {limit:g} s; the last output: {self.output[-2000:]!r}")
            took = time.monotonic() - began
            self.waited = min(took, self._waited() - before)
            return took

    def _waited(self) -> float:
        """Seconds in which the screen's thread was ready to run, and had no processor."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9

    def processor(self) -> float:
        """Seconds of processor time that its threads have had."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in threads) / 1e9

    def used(self, seconds: float) -> float:
        """Processor time in the next seconds, in seconds per second."""
        before, began = self.processor(), time.monotonic()
        time.sleep(seconds)
        return (self.processor() - before) / (time.monotonic() - began)

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


class Writer(SpawnProcess):
    """Appends events to a journal, so many a second, as an engine does whose tasks take a second. It is a process of
    its own, as an engine is: else it would delay the threads that measure."""

    def __init__(self, journal: Path, first: int, last: int, rate: int) -> None:
        super().__init__(daemon=True)
        self.journal, self.first, self.last, self.rate = journal, first, last, rate
        processes = multiprocessing.get_context("spawn")
        self.ending, self._count = processes.Event(), processes.Value("q", 0)

    @property
    def written(self) -> int:
        """Events so far."""
        return int(self._count.value)

    def run(self) -> None:
        from tui_lab.store.events import Assigned, EndState, Finished, KnownEvent, Requeued, Started
        from tui_lab.store.journal import Journal

        journal = Journal(self.journal)
        journal.append([Requeued(time.time(), [[self.first, self.last]], {})])
        stepping = list(range(self.first, min(self.first + STEPS, self.last)))
        journal.append([Assigned(time.time(), "localhost", [(one, 2) for one in stepping])])
        journal.append([Started(time.time(), one, 2) for one in stepping])
        threading.Thread(target=self._steps, args=(stepping,), daemon=True).start()
        task, running, began = self.first + STEPS, list[int](), time.monotonic()
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
                self._count.value += len(events)
        journal.close()

    def _steps(self, tasks: list[int]) -> None:
        from tui_lab.store.experiment import ExperimentFolder

        folder, step = ExperimentFolder(self.journal.parent), 0
        files = [folder.task_folder(task) / "metrics.jsonl" for task in tasks]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
        while not self.ending.wait(1):
            step += 1
            for file in files:
                with file.open("a") as out:
                    out.write(json.dumps({"step": step, "loss": 1 / step}) + "\n")


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


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


def keys(terminal: Terminal, clock: Terminal, count: int, presses: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds until each of so many pages is there, going up from the last task; the same without what others took;
    and by turns until the clock has counted a key, which tells what the machine is up to."""
    terminal.answer(b"G", str(count - 1).encode())
    time.sleep(1)
    with terminal.arrived:
        terminal.output = b""
    terminal.key(PAGE_UP)
    time.sleep(1)
    digits = len(str(count - 1))
    seen = [int(word) for word in re.findall(rb"(?<!\d)\d{%d}(?!\d)" % digits, terminal.output)]
    step = count - 1 - min(number for number in seen if number > count - 300)  # no pinned one
    task, answers, alone, plain = count - 1 - step, list[float](), list[float](), list[float]()
    for number in range(presses):
        time.sleep(random.uniform(0.03, 0.15))
        task -= step
        answers.append(terminal.answer(PAGE_UP, str(task).encode()))
        alone.append(answers[-1] - terminal.waited)
        time.sleep(random.uniform(0.01, 0.05))
        plain.append(clock.answer(b"x", b"%d;" % (number + 1)))
    return answers, alone, plain


def answers(terminal: Terminal, clock: Terminal, presses: int) -> tuple[list[float], list[float], list[float]]:
    """The same for a key that puts a letter on each panel, until anything comes."""
    found, alone, plain = list[float](), list[float](), list[float]()
    for number in range(presses):
        time.sleep(random.uniform(0.03, 0.15))
        found.append(terminal.answer(JUMP, b"\x1b["))
        alone.append(found[-1] - terminal.waited)
        time.sleep(random.uniform(0.03, 0.15))
        terminal.key(b"~")  # no letter of a panel: it leaves
        time.sleep(0.1)
        plain.append(clock.answer(b"x", b"%d;" % (number + 1)))
    return found, alone, plain


@contextmanager
def idle_engine(folder: Path) -> Iterator[None]:
    """An engine of the lab with a task that waits."""
    os.mkfifo(folder / "pipe")
    file = folder / "waits.yaml"
    file.write_text(f"name: waits\ncommand: cat {folder}/pipe\n")
    words = ["--run", str(file), "--node", "localhost", "1", "--lab", str(folder / "lab")]
    silent = subprocess.DEVNULL
    run = subprocess.Popen([sys.executable, "-m", "tui_lab", *words], stdin=silent, stdout=silent, stderr=silent)
    try:
        with (folder / "pipe").open("w"):  # the task reads it: it runs
            yield
    finally:
        run.wait(60)


def measured(pane: str, folder: Path, count: int, args: argparse.Namespace) -> dict[str, float]:
    """What the screen does that shows a pane: while nothing happens, then while tasks run."""
    lab, size = folder / "lab", args.size
    report: dict[str, float] = {}
    began = time.monotonic()
    terminal = Terminal([sys.executable, "-m", "tui_lab", "lab"], folder, size)
    terminal.answer(b"", f"{count:,} tasks".encode())
    report["open, s"] = round(time.monotonic() - began, 2)
    terminal.key(b"%d" % PANES.index(pane))
    clock = Terminal([sys.executable, "-c", CLOCK], folder, size)
    time.sleep(5)
    with ThreadPoolExecutor(2) as both:  # at the same time: what others do on the machine then hurts both
        used, plain = both.map(lambda one: one.used(args.seconds), (terminal, clock))
        report["idle, processor"], report["idle, of the clock"] = round(used, 5), round(plain, 5)
        if args.engine:
            with idle_engine(folder):
                time.sleep(10)  # the start of a run is told
                used, plain = both.map(lambda one: one.used(args.seconds), (terminal, clock))
            report["idle with an engine, processor"] = round(used, 5)
            report["idle with an engine, of the clock"] = round(plain, 5)
    clock.close()
    writer = Writer(lab / "big" / "journal.jsonl", count * 6 // 10, count - 1, args.events)
    writer.start()
    time.sleep(5)
    events = writer.written
    report["live, processor"] = round(terminal.used(args.seconds / 3), 4)
    report["live, events a second"] = round((writer.written - events) / (args.seconds / 3))
    clock = Terminal([sys.executable, "-c", CLOCK], folder, size)
    time.sleep(2)
    if pane == "tasks":
        took, alone, others = keys(terminal, clock, count, args.keys)
    else:
        took, alone, others = answers(terminal, clock, args.keys)
    clock.close()
    for name, share in (("median", 0.5), ("p99", 0.99), ("worst", 1.0)):
        report[f"key, {name}, ms"] = round(1000 * quantile(took, share), 1)
        report[f"key, without others, {name}, ms"] = round(1000 * quantile(alone, share), 1)
        report[f"key of the clock, {name}, ms"] = round(1000 * quantile(others, share), 1)
    report["memory, MB"] = terminal.peak()
    writer.ending.set()
    writer.join()
    terminal.close()
    return report


def exceeded(pane: str, report: dict[str, float], tasks: int) -> list[str]:
    """What takes longer or more than it may."""
    busy = report["key of the clock, p99, ms"] > 1000 * BUSY
    limits = {
        "key, without others, p99, ms" if busy else "key, p99, ms": max(
            1000 * KEY, SLOWER * report["key of the clock, p99, ms"]
        ),
        "idle, processor": IDLE * report["idle, of the clock"] + NOISE,
        "live, processor": LIVE,
        "memory, MB": MEMORY[0] + MEMORY[1] * tasks / 1e6,
    }
    if (plain := report.get("idle with an engine, of the clock")) is not None:
        limits["idle with an engine, processor"] = IDLE * plain + NOISE
    return [f"{pane}: {name}: {report[name]:g}, limit {most:g}" for name, most in limits.items() if report[name] > most]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))), default=(120, 40))
    parser.add_argument("--panes", nargs="+", choices=("all", *PANES), default=["tasks"])
    parser.add_argument("--engine", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    report: dict[str, Any] = {"size": "{}x{}".format(*args.size), "load": os.getloadavg()[0], "panes": {}}
    problems = list[str]()
    for pane in PANES if "all" in args.panes else args.panes:
        for attempt in range(TRIES if args.check else 1):
            with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
                folder = Path(name)
                make(folder, args.tasks, metrics="")
                report["tasks"] = sum(last - first + 1 for first, last in _planned(folder / "lab"))
                if "views, ms" not in report:
                    report["views, ms"] = views(folder / "lab")
                one = report["panes"][pane] = measured(pane, folder, report["tasks"], args)
            if not (found := exceeded(pane, one, report["tasks"])):
                break
            print(f"try {attempt + 1}", *found, sep="\n  ", file=sys.stderr)
        problems += found
    print(json.dumps(report, indent=2))
    if args.check and problems:
        raise SystemExit("\n".join(problems))


def _planned(lab: Path) -> Sequence[Sequence[int]]:
    from tui_lab.store.lab import Lab

    return Lab.open(lab).experiment("big").state().submissions[-1].planned


if __name__ == "__main__":
    main()
