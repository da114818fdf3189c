"""What `explore` reads beside its options: experiment and cluster files, nodes, and which tasks are meant.

patas' own files are read as patas documents them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tui_lab.cli.errors import UsageError
from tui_lab.cli.exploring import MAX_TRIES, Domain, Sweep, arithmetic, geometric
from tui_lab.spec.problem import SpecError, suggest
from tui_lab.spec.yaml12 import parse


def read_sweep(path: Path) -> Sweep | None:
    """The sweep of an experiment file as patas has it; None for one of ours. Raises SpecError, UsageError."""
    document = _document(path)
    if "command" in document or not {"cmd", "vars"} & document.keys():
        return None
    known = ("name", "type", "workdir", "cmd", "repeat", "max_tries", "redo_tasks", "vars")
    for key in document:
        if key not in known:
            raise UsageError(f'{path}: patas has no "{key}"; {suggest(key, known) or "it has " + ", ".join(known)}')
    if document.get("type", "grid") != "grid":
        raise UsageError(f"{path}: type {document['type']}: grid is the only one")
    commands = document.get("cmd")
    commands = commands if isinstance(commands, list) else [commands]
    if not commands or not all(isinstance(command, str) and command for command in commands):
        raise UsageError(f"{path}: `cmd` is a command, or a list of commands")
    variables = document.get("vars") or []
    if not isinstance(variables, list):
        raise UsageError(f"{path}: `vars` is a list")
    return Sweep(
        str(document.get("name") or path.stem),
        tuple(commands),
        tuple(_variable(path, variable) for variable in variables),
        _count(path, document, "repeat", 1),
        _count(path, document, "max_tries", MAX_TRIES),
        document.get("workdir"),
        document.get("redo_tasks") is True,
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        document = parse(path.read_text(encoding="utf-8-sig"), str(path))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no UTF-8 text") from None
    if document.problems:
        raise SpecError(document.problems)
    value = document.value
    if not isinstance(value, dict):
        raise UsageError(f"{path}: holds no keys")
    return value


def _count(path: Path, document: Mapping[str, Any], key: str, default: int) -> int:
    value = document.get(key, default)
    if type(value) is not int or value < 1:
        raise UsageError(f"{path}: `{key}` is a number from 1 on")
    return value


def _variable(path: Path, given: Any) -> Domain:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise UsageError(f"{path}: each of `vars` has a name, a type and values")
    name, kind = given["name"], given.get("type")
    if kind == "list":
        if not isinstance(given.get("values"), list) or not given["values"]:
            raise UsageError(f"{path}: {name}: `values` is a list")
        return name, given["values"]
    if kind == "arithmetic":
        # patas' own example calls the step `factor`.
        step = given.get("step", given.get("factor", 1))
        return arithmetic(name, str(given.get("min", 0)), str(given.get("max", 10)), str(step), f"{path}:")
    if kind == "geometric":
        low, high, factor = (str(given.get(k, v)) for k, v in (("min", 1), ("max", 17), ("factor", 2)))
        return geometric(name, low, high, factor, f"{path}:")
    raise UsageError(f"{path}: {name}: the type is list, arithmetic or geometric")


@dataclass(frozen=True)
class Node:
    host: str
    slots: int = 0
    """0: as many as the machine has cores."""
    tags: tuple[str, ...] = ()


LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def read_cluster(path: Path) -> list[Node]:
    """The nodes of a cluster file, patas' or ours. Raises SpecError, UsageError."""
    nodes = _document(path).get("nodes")
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise UsageError(f"{path}: a cluster has `nodes`, a list")
    found = []
    for node in nodes:
        host = str(node.get("hostname", node.get("host", "localhost")))
        slots = node.get("workers", node.get("slots", 0))
        if type(slots) is not int or slots < 0:
            raise UsageError(f"{path}: {node.get('name', host)}: `workers` is a number from 1 on")
        found.append(Node(host, slots, tuple(map(str, node.get("tags") or ()))))
    return found


def read_node(words: Sequence[str]) -> Node:
    """`--node [USER@]HOST[:PORT] [WORKERS] [TAG...]`. Raises UsageError."""
    if not words:
        raise UsageError("explore --node needs a host, as in: --node localhost 4")
    host, *rest = words
    slots = 0
    if rest and re.fullmatch(r"-?\d+", rest[0]):
        slots = int(rest.pop(0))
        if slots < 1:
            raise UsageError(f"explore --node {host} {slots}: the number of workers is 1 or more")
    return Node(host, slots, tuple(rest))


def local_slots(nodes: Sequence[Node], tags: Sequence[str]) -> int | None:
    """The slots of this machine among the nodes that have all the tags; 0 for all cores, None where no node
    was given. Raises UsageError for other machines, and where no node is left."""
    if not nodes:
        if tags:
            raise UsageError("explore --filter-nodes: no node was given")
        return None
    chosen = [node for node in nodes if set(tags) <= set(node.tags)]
    if not chosen:
        raise UsageError(f"explore --filter-nodes {' '.join(tags)}: no node has all of these tags")
    for node in chosen:
        if node.host.rpartition("@")[2].removesuffix(":22") not in LOCAL:
            raise UsageError(f"explore: node {node.host}: only localhost works so far")
    if len(chosen) > 1 and not all(node.slots for node in chosen):
        raise UsageError("explore: localhost is given twice; say how many workers each has")
    return sum(node.slots for node in chosen)


# ---- which tasks


def task_condition(filters: Sequence[str], experiment: str) -> str | None:
    """`A:B`, `A:`, `:B`, `N` or `NAME:A:B`, several, as the SQL that picks these tasks of an experiment; B is
    excluded. None where nothing is said of the experiment. Raises UsageError."""
    conditions = []
    for text in filters:
        match = re.fullmatch(r"(?:([A-Za-z_][\w.-]*):(?=.*:))?(\d*)(:?)(\d*)", text)
        if match is None or (not match[3] and not match[2]):
            raise UsageError(f"explore --filter-tasks {text}: expected A:B, A:, :B, N or NAME:A:B")
        if match[1] not in (None, experiment):
            continue
        first, last = match[2], match[4]
        if not match[3]:
            conditions.append(f"task_id = {first}")
            continue
        ends = [f"task_id >= {first}"] if first else []
        ends += [f"task_id < {last}"] if last else []
        conditions.append(" AND ".join(ends) or "true")
    return " OR ".join(f"({condition})" for condition in conditions) or None
