"""What `explore` reads beside its options: experiment and cluster files, nodes, and which tasks are meant.

patas' own files are read as patas documents them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui_lab.cli.exploring import MAX_TRIES, Domain, Sweep, arithmetic, geometric
from tui_lab.client.errors import UsageError
from tui_lab.client.nodes import read_cluster as read_ours
from tui_lab.client.nodes import read_node
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.model import THIS_MACHINE, node_name_error, relative_to
from tui_lab.experiment.data_types import Json
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError, suggest


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
        raise UsageError(f"{path}: type {document['type']}: only grid is supported")
    commands = document.get("cmd")
    commands = commands if isinstance(commands, list) else [commands]
    if not commands or not all(isinstance(command, str) and command for command in commands):
        raise UsageError(f"{path}: `cmd` must be a command or a list of commands")
    variables = document.get("vars") or []
    if not isinstance(variables, list):
        raise UsageError(f"{path}: `vars` must be a list")
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
    """Return what a file of patas says, nothing of it checked yet."""
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


def _count(path: Path, document: Mapping[str, Json], key: str, default: int) -> int:
    value = document.get(key, default)
    if type(value) is not int or value < 1:
        raise UsageError(f"{path}: `{key}` must be 1 or more")
    return value


def _variable(path: Path, given: Any) -> Domain:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise UsageError(f"{path}: each of `vars` needs a name, a type and values")
    name, kind = given["name"], given.get("type")
    if kind == "list":
        if not isinstance(given.get("values"), list) or not given["values"]:
            raise UsageError(f"{path}: {name}: `values` must be a list")
        return name, given["values"]
    if kind == "arithmetic":
        # patas' own example calls the step `factor`.
        step = given.get("step", given.get("factor", 1))
        return arithmetic(name, str(given.get("min", 0)), str(given.get("max", 10)), str(step), f"{path}:")
    if kind == "geometric":
        low, high, factor = (str(given.get(k, v)) for k, v in (("min", 1), ("max", 17), ("factor", 2)))
        return geometric(name, low, high, factor, f"{path}:")
    raise UsageError(f"{path}: {name}: the type is list, arithmetic or geometric")


def read_cluster(path: Path) -> list[NodeEntry]:
    """The nodes of a cluster file, patas' or ours. Raises SpecError, UsageError."""
    nodes = _document(path).get("nodes")
    theirs = ("hostname", "workers", "private_key")
    if not isinstance(nodes, list) or not any(isinstance(node, dict) and node.keys() & set(theirs) for node in nodes):
        return read_ours(path)
    return [_node(path, node, number) for number, node in enumerate(nodes)]


def _node(path: Path, given: Any, number: int) -> NodeEntry:
    known = ("name", "user", "hostname", "port", "workers", "tags", "private_key")
    if not isinstance(given, dict):
        raise UsageError(f"{path}: each of `nodes` needs a name and a hostname")
    for key in given:
        if key not in known:
            hint = suggest(str(key), known) or "it has " + ", ".join(known)
            raise UsageError(f'{path}: patas has no "{key}" of a node; {hint}')
    host, workers, port = str(given.get("hostname", "localhost")), given.get("workers", 0), given.get("port", 22)
    name = str(given.get("name", f"node{number}"))
    for what, value, least in (("workers", workers, 0), ("port", port, 1)):
        if type(value) is not int or value < least:
            raise UsageError(f"{path}: {name}: `{what}` must be 1 or more")
    if wrong := node_name_error(name):
        raise UsageError(f"{path}: {wrong[0]}; {wrong[1]}")
    node: NodeEntry = {"name": name, "slots": workers, "tags": [str(tag) for tag in given.get("tags") or ()]}
    if host not in THIS_MACHINE or port != 22:
        node["host"] = host
        node |= {"port": port} if port != 22 else {}
        node |= {"user": str(given["user"])} if given.get("user") else {}
        node |= (
            {"key": relative_to(path.absolute().parent, str(given["private_key"]))} if given.get("private_key") else {}
        )
    return node


def read_nodes(given: Sequence[Sequence[str]], clusters: Sequence[str], tags: Sequence[str]) -> list[NodeEntry] | None:
    """The nodes of all `--node` and `--cluster` that have all the tags; None where none was given. What concerns
    this machine under one name adds up. Raises UsageError, SpecError."""
    nodes = [read_node(words) for words in given]
    nodes += [node for name in clusters for node in read_cluster(Path(name))]
    if not nodes:
        if tags:
            raise UsageError("explore --filter-nodes: no node was given")
        return None
    chosen = [node for node in nodes if set(tags) <= set(node["tags"])]
    if not chosen:
        raise UsageError(f"explore --filter-nodes {' '.join(tags)}: no node has all of these tags")
    found: dict[str, NodeEntry] = {}
    for node in chosen:
        before = found.setdefault(node["name"], node)
        if before is node:
            continue
        if "host" in before or "host" in node:
            raise UsageError(f"explore: two nodes are called {node['name']}; give one of them another name")
        if not before["slots"] or not node["slots"]:
            raise UsageError(f"explore: {node['name']} is given twice; give the number of workers of each")
        tags = list(dict.fromkeys([*before["tags"], *node["tags"]]))
        found[node["name"]] = {**before, "slots": before["slots"] + node["slots"], "tags": tags}
    return list(found.values())


# --- Which tasks


def task_condition(filters: Sequence[str], experiment: str) -> str | None:
    """`A:B`, `A:`, `:B`, `N` or `NAME:A:B`, several, as the SQL that picks these tasks of an experiment; B is
    excluded. None where it does not name the experiment. Raises UsageError."""
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
