"""How large labs behave: opening one of a million finished tasks, asking it, a rerun where nothing changed, pending
tasks, outputs that come in bit by bit.

    python benchmarks/lab.py [--tasks 1000000] [--rerun-tasks 100000]

The lab is made of a real plan and a journal as an engine writes it (no task is run). Prints seconds and megabytes of
whole processes, beside an interpreter that only imports the same libraries.
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

OUTPUTS = 10_000
IMPORTS = "import polars, duckdb, numpy, yaml, orjson"


def make(folder: Path, tasks: int, metrics: str) -> None:
    """A lab of one experiment whose tasks are all done."""
    from tui_lab.client.submission import Choice, prepare, submit_event
    from tui_lab.store import checkpoint
    from tui_lab.store.events import Assigned, Ended, Finished, KnownEvent, Started
    from tui_lab.store.journal import Journal
    from tui_lab.store.lab import Lab

    file = folder / "big.yaml"
    side = round((tasks / 10) ** 0.5)
    file.write_text(
        "name: big\ncommand: /bin/echo {a} {b}\nrepeat: 10\n"
        f"parameters: {{a: {{range: [0, {side}]}}, b: {{range: [0, {tasks // 10 // side}]}}}}\n"
        f"{metrics}"
    )
    lab = Lab.create(folder / "lab")
    prepared = prepare(lab, file, Choice())
    event = submit_event(prepared, [{"name": "localhost", "slots": 2}], keep_going=False)
    journal = Journal(prepared.folder.journal)
    journal.append([event])
    count = prepared.plan.tasks.height
    for start in range(0, count, 1000):
        ids = range(start, min(count, start + 1000))
        events: list[KnownEvent] = [Assigned(1.0, "localhost", [(task, 1) for task in ids])]
        for task in ids:
            events.append(Started(1.0, task, 1))
            events.append(Finished(2.5, task, 1, "done", exit_code=0, step=0, duration=1.5, cpu_time=1.25))
        journal.append(events)
    journal.append([Ended(3.0, {"done": count})])
    journal.close()
    checkpoint.write(prepared.folder.state(), prepared.folder.path)


def run(folder: Path, *words: str) -> tuple[float, float]:
    """Wall seconds and peak memory (MB) of one command."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"failed: {words}")
    return round(time.monotonic() - began, 2), round(usage.ru_maxrss / 1000)


def ask(*words: str) -> Any:
    """What this script prints, as another process."""
    return json.loads(subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True).stdout)


def queries(folder: Path) -> dict[str, float]:
    """Seconds of a query that loads the table of all tasks, and of the same query after that; medians."""
    from tui_lab.results.sql.database import Database
    from tui_lab.store.lab import Lab

    sql = "SELECT a, count(*) AS n, mean(duration) AS duration FROM big GROUP BY a"
    loading: list[float] = []
    loaded: list[float] = []
    for _ in range(5):
        with Database(Lab.open(folder / "lab")) as database:
            for seconds in (loading, loaded):
                began = time.perf_counter()
                database.query(sql)
                seconds.append(time.perf_counter() - began)
    return {"load and ask": round(statistics.median(loading[1:]), 3), "ask again": round(statistics.median(loaded), 3)}


METRICS = "metrics: {loss: 'loss (@float@)', best: {pattern: 'accuracy (@float@)', take: max}}\n"
OUTPUT = "".join(f"epoch {epoch} loss {1 / (epoch + 1):.4f} accuracy {epoch / 50:.4f}\n" for epoch in range(50))


def outputs(folder: Path, tasks: int, further: int) -> dict[str, Any]:
    """Seconds to read so many outputs (2 KB, two patterns), then with a few further ones; medians. The share is taken
    within each round."""
    from tui_lab.results.tables import refresh
    from tui_lab.store.events import Assigned, Finished, KnownEvent, Requeued
    from tui_lab.store.journal import Journal
    from tui_lab.store.lab import Lab

    experiment = Lab.open(folder / "lab").experiment("big")
    for task in range(tasks):
        place = experiment.task_folder(task)
        place.mkdir(parents=True, exist_ok=True)
        (place / "stdout").write_text(OUTPUT)
    whole, part, shares = [], [], []
    journal = Journal(experiment.journal)
    for attempt in range(2, 7):
        began = time.perf_counter()
        refresh(experiment, force=True)
        whole.append(time.perf_counter() - began)
        events: list[KnownEvent] = []
        for task in range(further):
            (experiment.task_folder(task) / f"stdout.{attempt}").write_text(OUTPUT)
            events += [
                Assigned(4.0, "localhost", [(task, attempt)]),
                Finished(5.0, task, attempt, "done", duration=1.0),
            ]
        journal.append([Requeued(4.0, [[0, further - 1]], {}), *events])
        began = time.perf_counter()
        assert refresh(experiment).read == further
        part.append(time.perf_counter() - began)
        shares.append(part[-1] / whole[-1])
    journal.close()
    return {
        f"read {tasks:,} outputs": round(statistics.median(whole), 3),
        f"read {further:,} further": round(statistics.median(part), 3),
        "share": round(statistics.median(shares), 3),
    }


def pending(folder: Path, tasks: int) -> float:
    """Peak memory of an engine with so many pending tasks, in MB."""
    (folder / "wait.yaml").write_text(
        f"name: wait\ncommand: sleep 5\nparameters: {{a: {{range: [0, {tasks // 100}]}}}}\nrepeat: 100\n"
    )
    lab = folder / "lab"
    run(folder, "-c", "from pathlib import Path; from tui_lab.store.lab import Lab; Lab.create(Path('lab'))")
    engine = subprocess.Popen([sys.executable, "-m", "tui_lab.client.engine", str(lab)], stderr=subprocess.DEVNULL)
    while not (lab / "engine.json").exists():
        time.sleep(0.02)
    run(folder, "-m", "tui_lab", "--run", "wait.yaml", "--detach")
    time.sleep(3)
    run(folder, "-m", "tui_lab", "stop")
    _, _, usage = os.wait4(engine.pid, 0)
    return usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rerun-tasks", type=int, default=100_000)
    parser.add_argument("--make", nargs=2, metavar=("DIR", "N"), help="only make a lab of N done tasks in DIR")
    parser.add_argument("--metrics", action="store_true", help="with metrics in it")
    parser.add_argument("--queries", metavar="DIR", help="only ask such a lab")
    parser.add_argument("--outputs", metavar="DIR", help="only read the outputs of such a lab")
    args = parser.parse_args()
    if args.make:
        make(Path(args.make[0]), int(args.make[1]), METRICS if args.metrics else "")
        return
    if args.queries:
        print(json.dumps(queries(Path(args.queries))))
        return
    if args.outputs:
        print(json.dumps(outputs(Path(args.outputs), OUTPUTS, OUTPUTS // 100)))
        return
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        report["imports alone"] = run(folder, "-c", IMPORTS)
        report["help"] = run(folder, "-m", "tui_lab", "--help")
        # In a process of its own: a child inherits the peak memory of its parent.
        report[f"make a lab of {args.tasks:,} (plan, journal, checkpoint)"] = run(
            folder, __file__, "--make", name, str(args.tasks)
        )
        report[f"plan {args.tasks:,} tasks"] = run(folder, "-m", "tui_lab", "plan", "big.yaml")
        report[f"open a lab of {args.tasks:,} done tasks (status)"] = run(folder, "-m", "tui_lab", "status")
        report[f"a GROUP BY over {args.tasks:,} tasks"] = ask("--queries", name)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        run(Path(name), __file__, "--make", name, str(OUTPUTS), "--metrics")
        report["outputs"] = ask("--outputs", name)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        run(folder, __file__, "--make", name, str(args.rerun_tasks))
        report[f"--run of {args.rerun_tasks:,} done tasks"] = run(folder, "-m", "tui_lab", "--run", "big.yaml")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        report[f"engine with {args.tasks:,} pending tasks (MB)"] = round(pending(Path(name), args.tasks))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
