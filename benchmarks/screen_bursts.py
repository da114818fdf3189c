"""How soon a key is answered after a burst of input, beside a plain app of Textual with a table and a log of that size.

    python benchmarks/screen_bursts.py [--rounds 5] [--tasks 5000] [--bursts resize wheel held paste focus] [--check]

Both run in terminals of their own, and take the same bursts by turns: 30 changes of size, 400 turns of the wheel over
the table, 200 times the key down, a megabyte pasted into a text field, the focus lost and got 200 times. A key follows
at once that leads to the table's last row (in the text field: two letters). It is answered when the terminal has got
that row (those letters). Medians are printed, in milliseconds.

--check: ends with 1 where a burst takes longer than LONGEST and RATIO times as long, in each of three tries.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

from lab import make
from screen import Terminal

PLAIN = """
import sys
from textual.app import App
from textual.widgets import DataTable, Input, RichLog
class Plain(App):
    CSS = "DataTable { height: 1fr; } RichLog { height: 14; }"
    BINDINGS = [("slash", "find", "Find"), ("j", "move(1)", "Down"), ("G", "go(-1)", "End"), ("g", "go(0)", "Top")]
    def compose(self):
        yield DataTable(cursor_type="row")
        yield RichLog()
        yield Input()
    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_columns("task", "state", "a", "b", "repeat", "duration")
        table.add_rows([(f"task{n}", "done", n % 100, n % 7, n % 3, 1.5) for n in range(int(sys.argv[1]))])
        self.query_one(RichLog).write("\\n".join(f"line {n}" for n in range(1000)))
        table.focus()
    def action_find(self):
        self.query_one(Input).focus()
    def action_move(self, by):
        self.query_one(DataTable).action_cursor_down()
    def action_go(self, row):
        table = self.query_one(DataTable)
        table.move_cursor(row=row % table.row_count)
    def on_key(self, event):
        if event.key == "escape":
            self.query_one(Input).value = ""
            self.query_one(DataTable).focus()
Plain().run()
"""
SIZE = (120, 40)
LONGEST = 0.3
"""Seconds that a key may take after a burst,"""
RATIO = 1.5
"""or so many times what it takes in the plain app, if that is longer."""
TRIES = 3
QUIET = 4000
"""Bytes that a blinking cursor and a clock write meanwhile."""
REST = 0.7
"""Seconds without output after which an app has done what it was told."""


def _resize(terminal: Terminal) -> None:
    for number in range(30):
        grown = 0 if number == 29 else number % 7
        size = struct.pack("HHHH", SIZE[1] - grown, SIZE[0] - 3 * grown, 0, 0)
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, size)
        terminal.process.send_signal(signal.SIGWINCH)
        time.sleep(0.01)


def _typed(keys: bytes) -> Callable[[Terminal], None]:
    def send(terminal: Terminal) -> None:
        data = keys
        while data:
            data = data[os.write(terminal.master, data) :]

    return send


BURSTS: dict[str, Callable[[Terminal], None]] = {
    "resize": _resize,
    "wheel": _typed(b"\x1b[<65;20;12M" * 400),
    "held": _typed(b"j" * 200),
    "paste": _typed(b"\x1b[200~" + b"some words, " * 87382 + b"\x1b[201~"),
    "focus": _typed(b"\x1b[O\x1b[I" * 200),
}


def _rest(terminal: Terminal) -> None:
    """Wait until it paints no more."""
    while True:
        with terminal.arrived:
            terminal.output = b""
        time.sleep(REST)
        if len(terminal.output) < QUIET:
            return


def took(terminal: Terminal, burst: str, last: bytes) -> float:
    """Seconds from the end of a burst, of its beginning where it is one write, until a key behind it is answered."""
    in_text = burst == "paste"
    terminal.key(b"g" if not in_text else b"/")
    _rest(terminal)
    began = time.monotonic()
    BURSTS[burst](terminal)
    if burst == "resize":
        began = time.monotonic()
    terminal.answer(b"ZQ" if in_text else b"G", b"ZQ" if in_text else last, 120)
    seconds = time.monotonic() - began
    if in_text:
        _rest(terminal)
        terminal.key(b"\x1b")
        _rest(terminal)
    return seconds


def measured(folder: Path, bursts: list[str], tasks: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians in milliseconds, ours and the plain app's, and their ratio."""
    ours = Terminal([sys.executable, "-m", "tui_lab", "lab"], folder, SIZE)
    ours.answer(b"", f"{tasks:,} tasks".encode())
    ours.key(b"3")
    plain = Terminal([sys.executable, "-c", PLAIN, str(tasks)], folder, SIZE)
    plain.answer(b"", b"task0")
    time.sleep(2)
    try:
        report = {}
        for burst in bursts:
            found: dict[str, list[float]] = {"ours": [], "plain": []}
            for _ in range(rounds):
                found["ours"].append(took(ours, burst, b"%d" % (tasks - 1)))
                found["plain"].append(took(plain, burst, b"task%d" % (tasks - 1)))
            one = {name: round(1000 * statistics.median(values), 1) for name, values in found.items()}
            report[burst] = {**one, "ratio": round(one["ours"] / one["plain"], 2)}
        return report
    finally:
        ours.close()
        plain.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--bursts", nargs="+", choices=BURSTS, default=list(BURSTS))
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    wanted = list(args.bursts)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        make(Path(name), args.tasks, metrics="")
        for _ in range(TRIES if args.check else 1):
            report = measured(Path(name), wanted, _tasks(Path(name) / "lab"), args.rounds)
            print(json.dumps({"load": os.getloadavg()[0], **report}, indent=2))
            wanted = [name for name, one in report.items() if one["ours"] > 1000 * LONGEST and one["ratio"] > RATIO]
            if not wanted:
                return
    if args.check:
        raise SystemExit(f"too slow after a burst: {', '.join(wanted)}")


def _tasks(lab: Path) -> int:
    from tui_lab.store.lab import Lab

    return Lab.open(lab).experiment("big").state().size


if __name__ == "__main__":
    main()
