"""How much a compilation on each node saves: two variants of a C program, on this machine and on one reached by SSH.

    python benchmarks/compile_once.py [--tasks 40] [--runs 3]

With `per: node`, each node compiles each variant once, with -march=native, for all tasks that it runs. Beside it, the
same tasks with a command that compiles and then measures. The SSH node is an sshd of our own on this machine. Runs
alternate, and ratios are taken within each round; medians are printed. Fails where a node has compiled a variant twice.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from nodes import Loop, loop

SOURCE = "".join(
    f"double f{i}(double x) {{ for (int j = 0; j < 9; j++) x = x * {i}.5 + j * x / (x + {i}); return x; }}\n"
    for i in range(600)
)
MAIN = '#include <stdio.h>\nint main(void) { printf("time: %g\\n", f1(1.0) + f599(2.0)); return 0; }\n'
COMPILE = "echo $TUI_LAB_NODE {flags} >> {here}/built; cc {flags} -march=native {here}/kernel.c -o"
STAGES = """\
stages:
  build: {{command: '{compile} {{output}}/kernel', per: node}}
  measure: {{command: '{{build.output}}/kernel', uses: [flags, n]}}
"""
COMMAND = "command: '{compile} {{output}}/kernel && {{output}}/kernel'\n"
PARAMETERS = "parameters: {{flags: [-O1, -O3], n: {{range: [0, {each}]}}}}\nmetrics: {{time: 'time: (@float@)'}}\n"


def measure(it: Loop, text: str, tasks: int) -> tuple[float, Counter[str]]:
    """Run tasks in a new folder; return the wall seconds, and how often each node has compiled each variant."""
    folder = Path(tempfile.mkdtemp(dir=it.folder))
    (folder / "kernel.c").write_text(SOURCE + MAIN)
    compiles = COMPILE.replace("{here}", str(folder))
    lines = text.format(compile=compiles) + PARAMETERS.format(each=tasks // 2)
    (folder / "kernels.yaml").write_text(f"name: kernels\n{lines}")
    words = [
        sys.executable,
        "-m",
        "tui_lab",
        "--run",
        "kernels.yaml",
        "--node",
        "localhost",
        "1",
        "--node",
        "loop",
        "1",
    ]
    began = time.monotonic()
    subprocess.run(words, cwd=folder, check=True, capture_output=True, env=it.environment)
    return time.monotonic() - began, Counter((folder / "built").read_text().splitlines())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    once: list[float] = []
    each: list[float] = []
    with loop() as it:
        measure(it, STAGES, 2)  # compiles this program
        for _ in range(args.runs):
            seconds, counts = measure(it, STAGES, args.tasks)
            once.append(seconds)
            assert set(counts.values()) == {1}, f"a node has compiled a variant twice: {counts}"
            assert {word.split()[0] for word in counts} == {"localhost", "loop"}, f"one node did nothing: {counts}"
            each.append(measure(it, COMMAND, args.tasks)[0])
    report = {
        "compiled on each node": round(statistics.median(once), 2),
        "compiled in each task": round(statistics.median(each), 2),
        "times as fast": round(statistics.median(slow / fast for fast, slow in zip(once, each, strict=True)), 2),
        "compilations": sum(counts.values()),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
