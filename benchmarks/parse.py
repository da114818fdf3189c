"""How fast outputs are parsed: 10,000 files of 2 KB and of 20 KB, five patterns, files already in memory.

    python benchmarks/parse.py [--files 10000] [--runs 5]

Compared in the same run with plain `re` over the text of each file (what most tools do) and with patas' way, line by
line. Prints medians, in files per second and as ratios.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tui_lab.experiment.load import load_text
from tui_lab.results.extraction.extract import extract
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.store.layout import task_folder

EXPERIMENT = r"""
name: bench
command: "true"
metrics:
  train_time: 'Time to train \(ms\): (@float@)'
  test_time: 'Time to test \(ms\): (@float@)'
  train_acc: 'Train accuracy: (@float@)'
  test_acc: 'Test accuracy: (@float@)'
  loss: 'Final Loss: (@float@)'
"""
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
PLAIN = [
    re.compile(rf"{text}: ({NUMBER})")
    for text in (r"Time to train \(ms\)", r"Time to test \(ms\)", "Train accuracy", "Test accuracy", "Final Loss")
]


def write_outputs(folder: Path, files: int, size: int) -> list[Path]:
    paths = []
    for task in range(files):
        place = task_folder(folder, task)
        place.mkdir(parents=True, exist_ok=True)
        lines = [f"step {n} loss {1 / (n + 1):.5f} lr 0.001 grad {n * task % 97}" for n in range(size // 40)]
        ends = [f"Time to train (ms): {task}.5", f"Time to test (ms): {task}.25", "Train accuracy: 0.9"]
        lines += [*ends, f"Test accuracy: 0.{task}", "Final Loss: 1e-3"]
        path = place / "stdout"
        path.write_text("\n".join(lines) + "\n")
        paths.append(path)
    return paths


def plain_re(paths: list[Path]) -> None:
    for path in paths:
        text = path.read_text(errors="replace")
        for pattern in PLAIN:
            list(pattern.finditer(text))


def by_line(paths: list[Path]) -> None:
    for path in paths:
        values: list[str | None] = [None] * len(PLAIN)
        for line in path.read_text(errors="replace").splitlines():
            for number, pattern in enumerate(PLAIN):
                match = pattern.search(line)
                if match:
                    values[number] = match[1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    experiment = load_text(EXPERIMENT, "bench.yaml")
    report = {}
    for size in (2_000, 20_000):
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            folder = Path(name)
            paths = write_outputs(folder, args.files, size)
            tasks = [(task, 1) for task in range(args.files)]
            ways: dict[str, Callable[[], object]] = {
                "tui-lab": partial(extract, experiment, OutputFolders(folder), tasks),
                "re on text": partial(plain_re, paths),
                "re by line": partial(by_line, paths),
            }
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(args.runs):
                for way, run in ways.items():
                    began = time.perf_counter()
                    run()
                    times[way].append(time.perf_counter() - began)
        report[f"{size // 1000} KB"] = {
            way: {
                "files_per_second": round(args.files / statistics.median(seconds)),
                "tui_lab_is_times_as_fast": round(
                    statistics.median(s / m for s, m in zip(seconds, times["tui-lab"], strict=True)), 2
                ),
            }
            for way, seconds in times.items()
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
