"""Templates of experiment files: each runs as it is, or needs the name of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Template:
    """An experiment file to begin with."""

    title: str
    about: str
    file: str
    """The name that is proposed."""
    text: str


TRAINING: Final = """\
# Which setting trains best? Try one task first: tui-lab --run training.yaml --first
name: training
command: python train.py [lr] [batch-size] --optimizer {optimizer} --seed {seed}
parameters:
  lr: {geomspace: [1e-4, 1e-1, 4]}       # 0.0001, 0.001, 0.01, 0.1
  batch-size: [32, 128]
  optimizer: [sgd, adam]
repeat: 5                                # five seeds each, the same ones for every setting
timeout: 2h
retries: 1                               # of what fails, once more
metrics:
  # The first metric leads tables and charts. Put the cursor on a pattern to try it on a real output.
  test_acc: {pattern: 'test accuracy[:=] *(@float@)', goal: max}
  loss: {pattern: 'loss[:=] *(@float@)', goal: min}
code: ['*.py']                           # recorded with the results
"""

BENCHMARK: Final = """\
# How fast is it? Quantities such as 3.2 MiB/s are converted to the unit of their metric.
name: benchmark
command: ./bench --threads {threads} --size {size}
parameters:
  threads: [1, 2, 4, 8]
  size: [1M, 16M, 256M]
repeat: 10
order: shuffled                          # so that what changes slowly hits all settings alike
metrics:
  throughput: {pattern: 'throughput: (@quantity@)', unit: MiB/s, goal: max}
  latency: {pattern: 'latency: (@quantity@)', unit: ms, goal: min}
"""

SIMULATION: Final = """\
# A program that reads a file of a fixed name and writes others. The template holds {dt} and {viscosity}.
name: simulation
command: [simulate input.nml]
workdir: '{output}'                      # each task in its own folder
files:
  input.nml: templates/input.nml         # written there before the command, with values filled in
parameters:
  dt: [0.01, 0.005, 0.001]
  viscosity: {linspace: [0.1, 1.0, 4]}
where: dt * viscosity < 0.008            # leaves out what would not be stable
timeout: 6h
metrics:
  energy: {csv: energy.csv, column: total, take: last}
  steps: {pattern: 'finished after (@int@) steps', goal: min}
"""

SHELL: Final = """\
# Any command, once for each setting. It runs as it is: press ctrl+r.
name: first
command: |
  sleep {pause}
  echo "took {pause} s"
parameters:
  pause: [0.1, 0.2, 0.4]
repeat: 3
metrics:
  seconds: {pattern: 'took (@float@) s', goal: min}
"""

TEMPLATES: Final = (
    Template("Any command", "a shell command for each setting; runs as it is", "experiment.yaml", SHELL),
    Template("Python training", "seeds, learning rates, accuracy from the log", "training.yaml", TRAINING),
    Template("Benchmark", "warm-up, shuffled order, quantities with units", "benchmark.yaml", BENCHMARK),
    Template("Simulation", "input files from templates, values from CSV", "simulation.yaml", SIMULATION),
)
"""In the order in which they are offered."""
