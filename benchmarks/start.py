"""How fast tasks are started: 3000 tasks that do nothing, two at a time, a folder and two output files each.

Commands are written as users write them, with a placeholder; `true {x}` and a line for the shell are compared with the
same under xargs.

    python benchmarks/start.py [--tasks 3000] [--runs 5] [--peers xargs parallel patas hyperqueue]

Peers that are not on PATH are left out. Runs alternate, and the ratio to xargs is taken within each round, so that a
noisy machine hurts all alike; medians are printed. Also the CPU time of the engine process, per task, and a run of one
task: what it takes to start and to end.

Python programs run from compiled files, as installed ones do, whatever this shell says of PYTHONDONTWRITEBYTECODE.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SLOTS = 2


PLAIN = "/bin/true {x}"
BUILTIN = "true {x}"
SHELL = "/bin/true {x} && true"


def tui_lab(folder: Path, tasks: int, line: str = PLAIN) -> None:
    text = f"name: noop\ncommand: '{line}'\nparameters: {{x: {{range: [0, {tasks}]}}}}\n"
    (folder / "noop.yaml").write_text(text if tasks > 1 else text.replace("{range: [0, 1]}", "[0]"))
    command = [sys.executable, "-m", "tui_lab", "--run", "noop.yaml", "--node", "localhost", str(SLOTS)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def xargs(folder: Path, tasks: int, line: str = PLAIN) -> None:
    """The same lines. The shell that makes the folder runs it, but for the last, which is one for bash here, too."""
    line = line.replace("{x}", '"$1"')
    run = f"exec bash -c '{line}' bash \"$1\"" if "&&" in line else line if line.startswith("true") else f"exec {line}"
    script = f'mkdir -p "t/$1" && {run} >"t/$1/stdout" 2>"t/$1/stderr"'
    numbers = "\n".join(map(str, range(tasks)))
    command = ["xargs", f"-P{SLOTS}", "-I{}", "sh", "-c", script, "sh", "{}"]
    subprocess.run(command, cwd=folder, check=True, input=numbers, text=True)


def tui_lab_builtin(folder: Path, tasks: int) -> None:
    tui_lab(folder, tasks, BUILTIN)


def xargs_builtin(folder: Path, tasks: int) -> None:
    xargs(folder, tasks, BUILTIN)


def tui_lab_shell(folder: Path, tasks: int) -> None:
    tui_lab(folder, tasks, SHELL)


def xargs_shell(folder: Path, tasks: int) -> None:
    xargs(folder, tasks, SHELL)


# The same line, here and under xargs.
FORMS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path, int], None]]] = {
    BUILTIN: (tui_lab_builtin, xargs_builtin),
    SHELL: (tui_lab_shell, xargs_shell),
}


def parallel(folder: Path, tasks: int) -> None:
    numbers = "\n".join(map(str, range(tasks)))
    command = ["parallel", f"-j{SLOTS}", "--joblog", "log", "--results", "out", "/bin/true"]
    subprocess.run(command, cwd=folder, check=True, input=numbers, text=True, capture_output=True)


def patas(folder: Path, tasks: int) -> None:
    command = ["patas", "explore", "--type", "grid", "--cmd", "/bin/true", "--vl", "x", "0", "--repeat", str(tasks)]
    subprocess.run([*command, "--node", "localhost", str(SLOTS), "-y"], cwd=folder, check=True, capture_output=True)


HYPERQUEUE = """
import sys
from hyperqueue import Job
from hyperqueue.cluster import LocalCluster, WorkerConfig
with LocalCluster(worker_config=WorkerConfig(cores=int(sys.argv[2]))) as cluster:
    client, job = cluster.client(), Job()
    for task in range(int(sys.argv[1])):
        job.program(["/bin/true"], stdout=f"out/{task}.stdout", stderr=f"out/{task}.stderr")
    client.wait_for_jobs([client.submit(job)])
"""


def hyperqueue(folder: Path, tasks: int) -> None:
    script = folder / "hq.py"
    script.write_text(HYPERQUEUE)
    python = Path(shutil.which("patas") or sys.executable).parent / "python"
    subprocess.run([python, script, str(tasks), str(SLOTS)], cwd=folder, check=True, capture_output=True)


TOOLS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "tui-lab": (sys.executable, tui_lab),
    "xargs": ("xargs", xargs),
    "parallel": ("parallel", parallel),
    "patas": ("patas", patas),
    "hyperqueue": ("patas", hyperqueue),  # a Python package: taken from the environment that patas is in
}


def measure(run: Callable[[Path, int], None], tasks: int, place: Path) -> float:
    """Wall seconds of one run in a new folder in `place`, which stays: ext4 makes a file several times as slowly while
    thousands of others have just been removed, and that would be the next tool's time."""
    folder = Path(tempfile.mkdtemp(dir=place))
    began = time.monotonic()
    run(folder, tasks)
    return time.monotonic() - began


def engine_cpu(tasks: int, place: Path) -> float:
    """CPU seconds of the engine process alone, per task: the engine runs as our own child here."""
    folder = Path(tempfile.mkdtemp(dir=place))
    (folder / "noop.yaml").write_text(f"name: noop\ncommand: /bin/true\nrepeat: {tasks}\n")
    lab = folder / "lab"
    from tui_lab.store.lab import Lab

    Lab.create(lab)
    engine = subprocess.Popen([sys.executable, "-m", "tui_lab.client.engine", str(lab)])
    while not (lab / "engine.json").exists():
        time.sleep(0.02)
    subprocess.run([sys.executable, "-m", "tui_lab", "--run", "noop.yaml"], cwd=folder, check=True, capture_output=True)
    _, _, usage = os.wait4(engine.pid, 0)
    return (usage.ru_utime + usage.ru_stime) / tasks


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", nargs="*", default=list(TOOLS)[1:])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as place:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{place}/compiled"
        print(json.dumps(compare(args.tasks, args.runs, args.peers, Path(place)), indent=2))


def pair(line: str, tasks: int, place: Path) -> float:
    """How many times as long as xargs a command takes, in one round."""
    mine, theirs = FORMS[line]
    return measure(mine, tasks, place) / measure(theirs, tasks, place)


def compare(tasks: int, runs: int, peers: list[str], place: Path) -> dict[str, Any]:
    names = ["tui-lab", *[name for name in peers if shutil.which(TOOLS[name][0])]]
    for name in names:
        measure(TOOLS[name][1], 2, place)  # compiles
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            times[name].append(measure(TOOLS[name][1], tasks, place))
    forms = {line: [pair(line, tasks, place) for _ in range(runs)] for line in FORMS}
    single = sorted(measure(tui_lab, 1, place) for _ in range(2 * runs))
    base = times["tui-lab"]
    report: dict[str, Any] = {}
    for name in names:
        ratios = [mine / theirs for mine, theirs in zip(base, times[name], strict=True)]
        report[name] = {
            "seconds": round(statistics.median(times[name]), 2),
            "tasks_per_second": round(tasks / statistics.median(times[name])),
            "tui_lab_takes_times_as_long": round(statistics.median(ratios), 2),
        }
    for line, ratios in forms.items():
        report[f"{line}, times xargs"] = round(statistics.median(ratios), 2)
    report["load"] = os.getloadavg()
    report["one_task_seconds"] = {"least": round(single[0], 2), "median": round(statistics.median(single), 2)}
    report["engine_cpu_ms_per_task"] = round(1000 * engine_cpu(tasks, place), 3)
    return report


if __name__ == "__main__":
    main()
