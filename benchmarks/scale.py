"""What nodes and tasks cost the engine.

    python benchmarks/scale.py [--tasks 1000000] [--nodes 10 100 1000] [--ends 50000]
    python benchmarks/scale.py --allocation 4000 [--rounds 3]

The scheduler alone, with nodes that are made up, each of four slots: processor time for a task from its start to its
end, where all has work and tasks wait, and memory. By turns the scheduler plans after each end, as on a network where
messages come one by one, and after each 50 ends, as where they come in groups. `tags`: not every node may run every
task. Each row is a process of its own.

`--allocation` measures how many tasks that do nothing end in a second in one allocation of a Slurm of its own, by turns
with as many slots here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.services.slurm import PrivateSlurm
from tests.store.events import submitted
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Assign, Stage
from tui_lab.engine.core.events import AgentMessages, Event, NodeAdded, NodeWelcomed, RunBegun, RunLoaded, Staged, Woken
from tui_lab.engine.core.model import AttemptKey, Moment, RunSettings
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.experiment.cluster.pools.pool import FLOOR
from tui_lab.protocol.agent import Finished, Started, Welcome
from tui_lab.store.events import JournalBegun
from tui_lab.store.fold import State

SLOTS = 4
GROUPS = (1, 50)  # ends between two plans
DUE = 100.0  # microseconds for a task, with 1000 nodes and 1,000,000 tasks


class Fleet:
    """A scheduler whose nodes end what they are given, one attempt after the other."""

    def __init__(self, nodes: int, tasks: int, *, choosy: bool) -> None:
        names = [f"n{number}" for number in range(nodes)]
        asked = [[0, tasks - 1]]
        state = State()
        state.apply(JournalBegun(2, "0123456789abcdef"))
        entries = [{"name": name, "slots": SLOTS, "host": name} for name in names]
        state.apply(submitted(plan=1, planned=asked, queued=asked, nodes=entries))
        ids = np.arange(tasks, dtype=np.int64)
        self.at = 1.0
        self.open: deque[tuple[str, AttemptKey]] = deque()
        self.scheduler = Scheduler(Moment(self.at, self.at))
        self.feed(RunLoaded("e", state))
        welcome = Welcome(PROTOCOL, 1, "spool", "3.12.0", SLOTS, SLOTS, [], True, "", {}, [], "", None)
        for name in names:
            self.feed(NodeAdded(name, remote=True, slots=SLOTS))
            self.feed(NodeWelcomed(name, welcome, 1 << 34))
        self.feed(RunBegun("e", RunSettings(ids, ids * 0, run_on={"": ("not x",)} if choosy else {}), fresh=True))
        self.feed(Woken())  # stages
        self.feed(Woken())  # assigns

    def feed(self, event: Event) -> None:
        """Take an event, and carry out what follows."""
        for effect in self.scheduler.handle(event, Moment(self.at, self.at)):
            match effect:
                case Assign(node=name, keys=keys):
                    self.open.extend((name, key) for key in keys)
                case Stage(node=name, submission=submission):
                    self.feed(Staged("e", name, submission))
                case _:
                    pass

    def end(self, count: int, group: int) -> float:
        """Let so many attempts start and end, and plan after each group of them; processor seconds."""
        began = time.process_time()
        for number in range(count):
            self.at += 0.001
            name, key = self.open.popleft()
            wire_key = ("e@01234567", *key)
            ended = Finished(wire_key, "done", duration=1.0, exit_code=0)
            self.feed(AgentMessages(name, [Started(wire_key, 0.0), ended]))
            if number % group == 0:
                self.feed(Woken())
        return time.process_time() - began


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def one_row(nodes: int, tasks: int, ends: int) -> None:
    """Print microseconds for a task, by group and then with tags, and bytes of the process."""
    fleet = Fleet(nodes, tasks, choosy=False)
    count = min(ends, tasks // 4)
    costs = [1e6 * fleet.end(count, group) / count for group in GROUPS]
    memory = resident()
    del fleet
    costs.append(1e6 * Fleet(nodes, tasks, choosy=True).end(count, GROUPS[0]) / count)
    print(*costs, memory)


def measure(nodes: int, tasks: int, ends: int) -> list[float]:
    """Return what a process of its own prints of a row."""
    words = [sys.executable, __file__, "--row", str(nodes), str(tasks), str(ends)]
    return [float(word) for word in subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout.split()]


def rate(folder: Path, tasks: int, cluster: str, environment: Mapping[str, str]) -> float:
    """Run tasks that do nothing; return how many end in a second, from the first start to the last end."""
    (folder / "c.yaml").write_text(f"nodes: [{cluster}]\n")
    (folder / "e.yaml").write_text(f"name: e\ncommand: /bin/true\nparameters: {{p: {{range: [0, {tasks}]}}}}\n")
    words = [sys.executable, "-m", "tui_lab", "--run", "e.yaml", "--cluster", "c.yaml"]
    subprocess.run(words, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (journal,) = folder.rglob("journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    first: float = min(event["at"] for event in events if event["event"] == "started")
    last: float = max(event["at"] for event in events if event["event"] == "finished")
    return tasks / (last - first)


def in_an_allocation(tasks: int, rounds: int) -> None:
    """Print the rate in one allocation beside that on this machine."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place, PrivateSlurm() as slurm:
        environment = {**os.environ, **slurm.environment, FLOOR: "0.2", "PYTHONPATH": str(Path(__file__).parent.parent)}
        pool = "{name: big, slots: 2, slurm: {partition: main, max: 1, every: 0.2, idle: 1}}"
        for number in range(rounds):
            found = []
            for name, cluster in (("there", pool), ("here", "{name: here, slots: 2}")):
                folder = Path(place, f"{name}-{number}")
                folder.mkdir()
                found.append(rate(folder, tasks, cluster, environment))
            there, here = found
            load = os.getloadavg()[0]
            print(f"{there:.0f} tasks a second in an allocation, {here:.0f} here: {there / here:.2f}; load {load:.0f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--ends", type=int, default=50_000, help="tasks that are measured")
    parser.add_argument("--allocation", type=int, metavar="TASKS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        one_row(*arguments.row)
        return
    if arguments.allocation:
        in_an_allocation(arguments.allocation, arguments.rounds)
        return
    print(f"{arguments.tasks:,} tasks, load {os.getloadavg()[0]:.0f}; microseconds of the processor for a task")
    print(f"| nodes | a plan after each end | after each {GROUPS[1]} | tags, after each end | memory |")
    print("|---|---|---|---|---|")
    rows = {count: measure(count, arguments.tasks, arguments.ends) for count in arguments.nodes}
    for count, (each, grouped, tags, memory) in rows.items():
        print(f"| {count:,} | {each:.0f} | {grouped:.0f} | {tags:.0f} | {memory / 1e6:.0f} MB |")
    few, many = min(rows), max(rows)
    small = measure(few, arguments.tasks // 10, arguments.ends // 10)[3]
    of_a_task = (rows[few][3] - small) / (0.9 * arguments.tasks)
    print(f"memory: {of_a_task:.0f} bytes a task", end="")
    if many > few:
        print(f", {(rows[many][3] - rows[few][3]) / (many - few) / 1e3:.1f} KB a node", end="")
    print()


if __name__ == "__main__":
    main()
