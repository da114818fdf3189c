"""The nodes that a command line names, and which of them an experiment may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tui_lab.cli.errors import UsageError
from tui_lab.spec.model import Experiment
from tui_lab.spec.problem import SpecError

Node = dict[str, Any]  # name, slots (0: as many as it has cores), tags

_HERE: Final = ("localhost", "127.0.0.1", "::1")


def read_nodes(given: Sequence[Sequence[str]]) -> list[Node]:
    """`--node localhost [SLOTS] [TAG...]`; by default this machine with as many slots as cores. Raises UsageError."""
    nodes: list[Node] = []
    for host, *rest in given:
        if host not in _HERE:
            raise UsageError(f"--node {host}: only localhost works so far")
        slots = int(rest.pop(0)) if rest and rest[0].lstrip("-").isdecimal() else None
        if slots is not None and slots < 1:
            raise UsageError(f"--node {host} {slots}: a node has one slot at least")
        nodes.append({"name": "localhost", "slots": slots or 0, "tags": rest})
    if len(nodes) > 1:
        raise UsageError("--node: localhost is given twice")
    return nodes or [{"name": "localhost", "slots": 0, "tags": []}]


def usable(experiment: Experiment, nodes: Sequence[Node]) -> list[Node]:
    """The nodes that have the tags of `run_on`. Raises SpecError where none has."""
    found = [node for node in nodes if all(_fits(wanted, node["tags"]) for wanted in experiment.run_on)]
    if not found:
        tagged = "; ".join(f"{node['name']} has {', '.join(node['tags']) or 'none'}" for node in nodes)
        message = f"no node has these tags: {tagged}"
        raise SpecError([experiment.problem(("run_on",), message, "tags are given as in: --node localhost 4 gpu")])
    return found


def _fits(wanted: str, tags: Sequence[str]) -> bool:
    word, _, tag = wanted.partition(" ")
    return tag.strip() not in tags if word == "not" else wanted in tags
