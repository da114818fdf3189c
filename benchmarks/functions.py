"""How fast functions are called: tasks that do nothing, two at a time, beside commands that do nothing.

    python benchmarks/functions.py [--tasks 2000] [--runs 3]

`pool` is what experiment_runner's multiprocessing backend does with the same function: a pool of spawned processes, a
new one for each task, whose module imports NumPy. (It also imports tqdm and pymongo, which is left out here.) What
takes long for each task gets fewer of them, and rates are compared. Runs alternate; medians are printed. Also how
often a module that takes a second to import is imported, and the floor: what it takes the processor to fork Python for
a child that makes a session, opens two files and ends, beside the start of `/bin/true`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SLOTS = 2
NOTHING = """
def fit(x):
    return None
def some(x: int, rate: float = 0.1, name: str = "a", hidden: "list[int]" = (), *, seed: int):
    return {"acc": rate * x}
"""
SLOW = "import time\ntime.sleep(1)\nopen('imports', 'a').write('once\\n')\n" + NOTHING
POOL = """
import multiprocessing, sys
import numpy
def fit(x):
    return None
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(int(sys.argv[2]), maxtasksperchild=1) as pool:
        for _ in pool.imap_unordered(fit, range(int(sys.argv[1]))):
            pass
"""
CASES: dict[str, tuple[str, int]] = {
    "function": ("function: noop.py::fit", 1),
    "with five arguments": ("function: noop.py::some\ndefaults: {rate: 0.5, name: b, hidden: [1, 2]}", 1),
    "/bin/true": ("command: /bin/true {x}", 1),
    "by bash": ("command: '/bin/true {x} && true'", 1),
    "python -c pass": (f"command: {sys.executable} -c pass {{x}}", 10),
    "spawn": ("function: noop.py::fit\nstart_method: spawn", 10),
}
"""What runs, and the part of the tasks that is enough for it: one in so many."""


def lab(place: Path, lines: str, tasks: int, code: str = NOTHING) -> Path:
    """Run tasks in a new folder, and return the folder."""
    folder = Path(tempfile.mkdtemp(dir=place))
    (folder / "noop.py").write_text(code)
    (folder / "noop.yaml").write_text(f"{lines}\nparameters: {{x: {{range: [0, {tasks}]}}}}\n")
    command = [sys.executable, "-m", "tui_lab", "--run", "noop.yaml", "--node", "localhost", str(SLOTS)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def rate(place: Path, name: str, tasks: int) -> float:
    """Tasks per second, without the time that a run of one task takes."""
    lines, part = CASES[name]
    seconds = []
    for count in (2, tasks // part):
        began = time.monotonic()
        lab(place, lines, count)
        seconds.append(time.monotonic() - began)
    return (tasks // part - 2) / (seconds[1] - seconds[0])


def pool_rate(place: Path, tasks: int) -> float:
    (place / "pool.py").write_text(POOL)
    began = time.monotonic()
    subprocess.run([sys.executable, "pool.py", str(tasks), str(SLOTS)], cwd=place, check=True)
    return tasks / (time.monotonic() - began)


FLOOR = """
import gc, os, resource, sys
def processor():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)
def fork():
    pid = os.fork()
    if not pid:
        os.setsid()
        for name in ("a", "b"):
            os.open(name, os.O_CREAT | os.O_WRONLY)
        os._exit(0)
    return pid
def spawn():
    return os.posix_spawn("/bin/true", ["true"], os.environ)
gc.freeze()
for start in (fork, spawn):
    before = processor()
    for _ in range(1000):
        os.waitpid(start(), 0)
    print(round(1000 * (processor() - before)))
"""


def floor(place: Path) -> list[int]:
    """Microseconds of processor time for a fork of Python and a start of `/bin/true`."""
    done = subprocess.run([sys.executable, "-c", FLOOR], cwd=place, check=True, capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in (*CASES, "pool")}
    floors = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{place}/compiled"
        lab(place, CASES["function"][0], 2)  # compiles
        for _ in range(args.runs):
            for name in CASES:
                rates[name].append(rate(place, name, args.tasks))
            rates["pool"].append(pool_rate(place, args.tasks // 40))
            floors.append(floor(place))
        slow = lab(place, CASES["function"][0], 50, SLOW)
        imports = len((slow / "imports").read_text().splitlines())
    report: dict[str, Any] = {
        name: {"tasks_per_second": round(statistics.median(found))} for name, found in rates.items()
    }
    for name, found in rates.items():
        ratios = [mine / other for mine, other in zip(rates["function"], found, strict=True)]
        report[name]["function_is_times_as_fast"] = round(statistics.median(ratios), 2)
    report["imports of a slow module for 50 tasks"] = imports
    fork, spawn = (round(statistics.median(found)) for found in zip(*floors, strict=True))
    report["floor in microseconds"] = {"fork of Python": fork, "start of /bin/true": spawn}
    report["load"] = os.getloadavg()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
