"""The nodes that a command line names, and which of them an experiment may use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tui_lab.client.errors import UsageError
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.model import MOST_SLOTS, NOT_IN_NODE_NAMES, THIS_MACHINE, node_name_error
from tui_lab.experiment.cluster.tags import fit
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.problem import SpecError, closest

_PLACE: Final = re.compile(
    r"(?:ssh://)?(?:(?P<user>\S+)@)?"  # a user's name may hold an @ itself
    r"(?:\[(?P<six>[^\]\s/]+)\]|(?P<host>[^:@\[\]\s/]+)|(?P<bare>[^@\[\]\s/]*:[^@\[\]\s/]*:[^@\[\]\s/]*))"
    r"(?::(?P<port>\d+))?"
)


def read_nodes(given: Sequence[Sequence[str]], clusters: Sequence[str | Path] = ()) -> list[NodeEntry]:
    """The nodes of `--node` and `--cluster`; by default this machine with as many slots as cores.

    With a cluster and no `--node`, all of its nodes. A `--node` that is a name in it means that node; one that is
    not is a further machine. Raises UsageError, SpecError.
    """
    known = [node for path in clusters for node in read_cluster(Path(path))]
    _check_names(known, "give one of them another name: ")
    if not given:
        return known or [{"name": "localhost", "slots": 0, "tags": []}]
    found = [_chosen(words, {node["name"]: node for node in known}) for words in given]
    _check_names(found, "--node: ")
    return found


def read_cluster(path: Path) -> list[NodeEntry]:
    """The nodes of a cluster.yaml. Raises SpecError."""
    from tui_lab.experiment.cluster.reader import load_cluster

    return load_cluster(path).entries()


def read_node(words: Sequence[str]) -> NodeEntry:
    """`[USER@]HOST[:PORT] [SLOTS] [TAG...]`: a machine; `localhost` alone is this one. Raises UsageError."""
    place, *rest = words
    match = _PLACE.fullmatch(place)
    if match is None or place.startswith("-"):
        hint = "it is [USER@]HOST[:PORT] [SLOTS] [TAG...]; an IPv6 address with a port is in brackets: [::1]:22"
        raise UsageError(f"--node {place}: {hint}")
    host = match["six"] or match["host"] or match["bare"]
    user, port = match["user"], match["port"]
    if port and not 0 < int(port) < 65536:
        raise UsageError(f"--node {place}: a port lies between 1 and 65535")
    slots, tags = _slots(place, rest)
    if host in THIS_MACHINE and not user and not port:
        return {"name": "localhost", "slots": slots or 0, "tags": tags}
    # Some characters, as the colon and the backslash, would be trouble in the paths that the name is part of.
    name = NOT_IN_NODE_NAMES.sub("-", (f"{user}@" if user else "") + host + (f"-{port}" if port else ""))
    name = name if name[0].isalnum() or name[0] == "_" else f"{'ip' if ':' in host else 'at'}{name}"
    if node_name_error(name):
        raise UsageError(f"--node {place}: too long for a name; write it into a cluster.yaml, with a name of its own")
    node: NodeEntry = {"name": name, "slots": slots or 0, "tags": tags, "host": host}
    return {**node, **({"port": int(port)} if port else {}), **({"user": user} if user else {})}


def _slots(place: str, rest: Sequence[str]) -> tuple[int | None, list[str]]:
    """The slots, where they are given, and the tags."""
    if not rest or not re.fullmatch(r"-?\d+", rest[0]):
        return None, list(rest)
    if int(rest[0]) < 1:
        raise UsageError(f"--node {place} {rest[0]}: a node needs at least one slot")
    if int(rest[0]) > MOST_SLOTS:
        raise UsageError(f"--node {place} {rest[0]}: a node has at most {MOST_SLOTS:,} slots")
    return int(rest[0]), list(rest[1:])


def _chosen(words: Sequence[str], known: dict[str, NodeEntry]) -> NodeEntry:
    """Return a node of a cluster, with other slots or more tags if they are given; else a further machine."""
    name, *rest = words
    if name in known:
        slots, tags = _slots(name, rest)
        node = known[name]
        return {**node, "slots": slots or node["slots"], "tags": list(dict.fromkeys([*node["tags"], *tags]))}
    if known and name not in THIS_MACHINE and (near := closest(name, known)):
        raise UsageError(f'--node {name}: the cluster has no node of this name; did you mean "{near}"?')
    return read_node(words)


def _check_names(nodes: Sequence[NodeEntry], where: str) -> None:
    names = [node["name"] for node in nodes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{where}{name} is given twice")


def usable(experiment: Experiment, nodes: Sequence[NodeEntry]) -> list[NodeEntry]:
    """The nodes that have the tags of `run_on`: of any stage, where there are stages. Stages of
    which each node has a run go where others go. Raises SpecError where none has
    those of a stage, or of the experiment."""
    stages = [one for one in experiment.per_stage if not (one.stage and one.stages[one.stage].per_node)]
    nowhere = [one for one in stages if not any(fit(one.run_on, node["tags"]) for node in nodes)]
    if nowhere:
        tagged = "; ".join(f"{node['name']} has {', '.join(node['tags']) or 'none'}" for node in nodes)
        message, hint = f"no node has these tags: {tagged}", "tags are given as in: --node localhost 4 gpu"
        raise SpecError(list(dict.fromkeys(one.problem(("run_on",), message, hint) for one in nowhere)))
    return [node for node in nodes if any(fit(one.run_on, node["tags"]) for one in stages)]
