"""A lab in which nothing depends on the day, the machine or its speed: what really ran, with other times."""

from __future__ import annotations

from typing import Any, Final

from tests.workbench import Workbench, rewritten

FILE: Final = """\
# How the learning rate and the activation change what is reached.
name: grid
command: |
  echo "epoch 1  loss: 0.{width}"
  echo "epoch 2  loss: 0.0{width}"
  k=$(echo {act} | cksum | cut -c2-2)
  for s in 1 2 3 4 5; do echo "{\\"step\\": $s, \\"error\\": $((60 * k / s))}" >>"$TUI_LAB_METRICS"; done
  [ {act} != tanh ] || [ {width} != 64 ] || { echo "RuntimeError: out of memory" >&2; exit 3; }
  echo "accuracy: 0.9$(( {width} / 16 + {repeat} ))"
parameters:
  act: [relu, gelu, tanh]
  width: [16, 32, 64]
repeat: 2
metrics:
  accuracy: {pattern: 'accuracy: (@float@)', goal: max}
  loss: 'loss: (@float@)'
"""
BEGAN: Final = 1_767_600_000.0  # 5 January 2026, 8 o'clock in UTC


def fixed_lab(workbench: Workbench) -> None:
    """Run the sweep, and make its lab's journal one of another day, person and machine."""
    run_fixed(workbench, "grid", FILE)


def run_fixed(workbench: Workbench, name: str, text: str) -> None:
    """Run an experiment in which a task fails, and make its journal one of another day, person and machine."""
    file = workbench.write(f"{name}.yaml", text)
    workbench("--run", file.name, "--node", "localhost", 1, code=1)
    workbench.close()
    folder = workbench.lab_path / name
    for left in ("state.parquet", "results.parquet", "results.steps.parquet"):
        (folder / left).unlink(missing_ok=True)
    for left in ("engine.json", "engine.owner", "engine.log", "nodes.jsonl"):
        (workbench.lab_path / left).unlink(missing_ok=True)
    rewritten(folder / "journal.jsonl", lambda events: [_move(event) for event in events])


def _move(event: dict[str, Any]) -> dict[str, Any]:
    kind = event["event"]
    if "at" in event:
        event["at"] = BEGAN + {"submitted": 0, "started": 2, "finished": 3, "ended": 60}.get(kind, 1)
        event["at"] += 2 * event.get("task", 0)
    if kind == "submitted":
        argv = ["tui-lab", "--run", "grid.yaml", "--node", "localhost", "1"]
        event |= {"user": "ana", "host": "tower", "cwd": "/home/ana/exp", "argv": argv}
    if kind == "finished":
        event |= {"duration": 1 + 0.25 * event["task"], "cpu_time": 0.5, "peak_rss": 64 << 20}
    return event
