"""The graph of an experiment's stages: as text, and for Mermaid and Graphviz."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tui_lab.client.formatting import plural, run_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui_lab.client.submission import Prepared

FORMATS: Final = ("text", "mermaid", "dot")


def graph(prepared: Prepared, kind: str) -> str:
    """Return the graph of the stages in a format; of an experiment without stages, its tasks alone."""
    write: Callable[[dict[str, str], dict[str, tuple[str, ...]]], str] = {"mermaid": _mermaid, "dot": _dot}.get(
        kind, _text
    )
    stages = prepared.experiment.stages
    return write(_labels(prepared), {name: stage.after for name, stage in stages.items()})


def _labels(prepared: Prepared) -> dict[str, str]:
    """Return what is said of each stage beside its name: how many runs, and how many of them are done."""
    tasks = plural(prepared.plan.tasks.height, "task")
    counts = {one.stage: (run_count(one.runs) + " per node" * one.per_node, one.done) for one in prepared.stages}
    counts[prepared.experiment.stage or prepared.experiment.name] = (tasks, prepared.counts.get("done", 0))
    labels = {name: f"{count}, {done:,} done" if done else count for name, (count, done) in counts.items()}
    stages = prepared.experiment.stages
    for name in prepared.experiment.apart:
        if stages[name].collect:
            labels[name] += f", collects {', '.join(stages[name].collect)}"
    return {name: labels[name] for name in prepared.experiment.stage_order or labels}


def _text(labels: dict[str, str], after: dict[str, tuple[str, ...]]) -> str:
    """Each stage below the last of those that it comes after, to the right of it."""
    depth: dict[str, int] = {}
    below: dict[str, list[str]] = {name: [] for name in labels}
    roots = []
    for name in labels:
        before = after.get(name, ())
        depth[name] = 1 + max((depth[one] for one in before), default=-1)
        if before:
            below[max(before, key=lambda one: (depth[one], list(labels).index(one)))].append(name)
        else:
            roots.append(name)
    lines: list[tuple[str, str]] = []

    def add(name: str, indent: str, parent: str | None) -> None:
        others = [one for one in after.get(name, ()) if one != parent]
        also = f"  (also after {', '.join(others)})" if others else ""
        arrow = "" if parent is None else "└▶ "
        lines.append((f"{indent}{arrow}{name}", f"{labels[name]}{also}"))
        for one in below[name]:
            add(one, indent if parent is None else indent + "   ", name)

    for root in roots:
        add(root, "", None)
    width = max(len(left) for left, _ in lines)
    return "\n".join(f"{left:<{width}}  {right}" for left, right in lines)


def _mermaid(labels: dict[str, str], after: dict[str, tuple[str, ...]]) -> str:
    """As https://mermaid.js.org/syntax/flowchart.html has it. Names may hold what is no identifier there."""
    numbers = {name: f"s{number}" for number, name in enumerate(labels)}
    lines = [f'  {numbers[name]}["{name}<br>{label}"]' for name, label in labels.items()]
    lines += [f"  {numbers[one]} --> {numbers[name]}" for name, before in after.items() for one in before]
    return "\n".join(["flowchart LR", *lines])


def _dot(labels: dict[str, str], after: dict[str, tuple[str, ...]]) -> str:
    """As https://graphviz.org/doc/info/lang.html has it."""
    quoted = json.dumps
    lines = [f"  {quoted(name)} [label={quoted(chr(10).join((name, label)))}];" for name, label in labels.items()]
    lines += [f"  {quoted(one)} -> {quoted(name)};" for name, before in after.items() for one in before]
    return "\n".join(["digraph {", "  rankdir=LR; node [shape=box];", *lines, "}"])
