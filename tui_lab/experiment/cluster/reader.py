"""From the text of a cluster.yaml to a Cluster, or to everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tui_lab.experiment.cluster.model import (
    MOST_SLOTS,
    THIS_MACHINE,
    Ahead,
    Cluster,
    ClusterNode,
    node_name_error,
    relative_to,
)
from tui_lab.experiment.cluster.transports import KEYS as TRANSPORT_KEYS
from tui_lab.experiment.cluster.transports import NodeKey
from tui_lab.experiment.names import name_error
from tui_lab.experiment.needs import OF_A_NODE, RESERVED
from tui_lab.experiment.readers.task import read_env, read_grace, read_setup
from tui_lab.experiment.record import keys_of
from tui_lab.experiment.registry import PluginError
from tui_lab.experiment.units import MEMORY_HINT, duration, memory
from tui_lab.experiment.yaml.parser import parse, read_text
from tui_lab.experiment.yaml.problem import SpecError, Suggestion, closest
from tui_lab.experiment.yaml.reader import Keypath, Reader, described

# What other tools call these keys.
_ELSEWHERE: Final = {
    "hostname": "host",
    "address": "host",
    "workers": "slots",
    "jobs": "slots",
    "cpus": "slots",
    "private_key": "key",
    "identity_file": "key",
    "username": "user",
    "gpu": "gpus",
    "environment": "env",
    "cwd": "workdir",
    "machines": "nodes",
    "hosts": "nodes",
}
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_EXAMPLE: Final = "as in: nodes: [{name: tower, host: 192.0.2.9, slots: 16}]"


def is_cluster(path: Path) -> bool:
    """Whether a file is meant as a cluster.yaml, not as an experiment. Raises SpecError where it can't be read."""
    text = read_text(path)
    if "nodes" not in text:
        return False  # a large file is not read for this alone
    root = parse(text, str(path)).root
    names = set(root.entries) if root is not None and root.kind == "mapping" else set()
    return "nodes" in names and "command" not in names


def load_cluster(path: Path, text: str | None = None) -> Cluster:
    """The cluster in a file; `text` stands for what the file holds. Raises SpecError with everything that is wrong
    with it."""
    document = parse(read_text(path) if text is None else text, str(path))
    r = Reader(document, path.absolute().parent)
    if document.root is None or r.empty(()):
        r.add((), "the file is empty", f"it needs nodes, {_EXAMPLE}")
        raise SpecError(r.problems)
    if document.root.kind != "mapping":
        r.add((), f"the file must be a mapping with nodes, not {described(document.root)}", _EXAMPLE)
        raise SpecError(r.problems)
    _check_keys(r, (), tuple(keys_of(Cluster)), "a cluster")
    name = r.optional_text(("name",)) if r.has(("name",)) else None
    lost_after = _lost_after(r, ("lost_after",))
    nodes = _nodes(r)
    if r.problems:
        raise SpecError(r.problems)
    return Cluster(name=name, nodes=tuple(nodes), lost_after=lost_after)


def _check_keys(r: Reader, path: Keypath, known: tuple[str, ...], owner: str) -> None:
    for key in r.keys(path):
        if key in known:
            continue
        other = _ELSEWHERE.get(key, "")
        other = other if other in known else closest(key, known) or ""
        hint = Suggestion(key, other) if other else f"it takes {', '.join(known)}"
        r.add((*path, key), f'"{key}" is no key of {owner}', hint, at_key=True)


def _nodes(r: Reader) -> list[ClusterNode]:
    path: Keypath = ("nodes",)
    if not r.has(path):
        if not any(_ELSEWHERE.get(key) == "nodes" or closest(key, ["nodes"]) for key in r.keys(())):
            r.add((), 'there is no "nodes"', f"add them, {_EXAMPLE}")
        return []
    if r.node(path).kind != "list":
        r.wrong(path, "a list of nodes")
        return []
    if not r.node(path).items:
        r.add(path, "a cluster has one node at least", _EXAMPLE)
    nodes, places = [], []
    for item in r.items(path):
        node = _node(r, item)
        if node is not None:
            nodes.append(node)
            places.append(item)
    seen: set[str] = set()
    for node, place in zip(nodes, places, strict=True):
        if node.name in seen:
            at = (*place, "name") if r.has((*place, "name")) else place
            r.add(at, f'two nodes are called "{node.name}"', "give one of them another name")
        seen.add(node.name)
    return nodes


def _node(r: Reader, path: Keypath) -> ClusterNode | None:
    if not r.is_mapping(path, "a node, such as {name: tower, host: 192.0.2.9}"):
        return None
    others = [key for key in r.keys(path) if key not in _READERS and key in TRANSPORT_KEYS]
    _check_keys(r, path, (*_READERS, *others), "a node")
    before = len(r.problems)
    transport = _transport(r, path, others) if others else None
    given = {key: _READERS[key](r, (*path, key)) for key in r.keys(path) if key in _READERS}
    given = {key: value for key, value in given.items() if value is not None}
    if given.get("host") in THIS_MACHINE and not given.keys() & {"port", "user", "key", "known_hosts"}:
        del given["host"]
    if transport is not None and transport.has_address and "host" in given:
        r.add((*path, "host"), f'"{transport.kind}" says where it is, so this node has no "host"', at_key=True)
    if "host" not in given:
        for key in ("port", "user", "key", "known_hosts"):
            if key in given and not r.has((*path, "host")):
                r.add(
                    (*path, key), f'"{key}" is for a machine reached by SSH, and this node has no "host"', at_key=True
                )
    if not given.get("name"):
        given["name"] = given.get("host", transport.kind if transport is not None and transport.pool else "localhost")
        if error := node_name_error(given["name"]):
            r.add(path, f"{error[0]}, and this would be its name", "give it a name, as in name: tower")
    return ClusterNode(**given, transport=transport) if len(r.problems) == before else None


def _transport(r: Reader, path: Keypath, keys: list[str]) -> NodeKey | None:
    """The one of the keys that says how the node is reached."""
    for key in keys[1:]:
        r.add((*path, key), f'a node is reached in one way, and this one has "{keys[0]}"', at_key=True)
    try:
        return TRANSPORT_KEYS[keys[0]].read(r, (*path, keys[0]))
    except PluginError as error:
        r.add((*path, keys[0]), str(error), at_key=True)
        return None


# --- The keys of a node. A reader gives None where the key is wrong, or left empty


def _name(r: Reader, path: Keypath) -> str | None:
    text = r.optional_text(path)
    if text is not None and (error := node_name_error(text)):
        r.add(path, *error)
    return text


def _host(r: Reader, path: Keypath) -> str | None:
    text = r.optional_text(path)
    if text is None:
        return None
    if "@" in text:
        user, _, host = text.rpartition("@")
        r.add(path, f'"{text}" is more than a host', f"write user: {user}, host: {host}")
    elif re.search(r"[\s/]", text) or text.startswith("-"):
        r.add(path, f'"{text}" is no host', "a name, an address, or an alias of ~/.ssh/config")
    elif re.fullmatch(r"[^:]+:\d+|\[.*\]:\d+", text):
        host, _, port = text.rpartition(":")
        r.add(path, f'"{text}" is more than a host', f"write host: {host.strip('[]')}, port: {port}")
    return text.strip("[]")


def _user(r: Reader, path: Keypath) -> str | None:
    text = r.optional_text(path)
    if text is not None and not text.isprintable():
        hint = "a backslash in double quotes begins an escape; in single quotes it stands for itself: 'LAB\\ana'"
        r.add(path, "the user's name holds a control character", hint)
    return text


def _port(r: Reader, path: Keypath) -> int | None:
    port = None if r.empty(path) else r.whole(path, 1, None)
    if port is not None and port > 65535:
        r.add(path, f"a port lies between 1 and 65535, and this is {port}")
    return port


def _file_here(r: Reader, path: Keypath) -> str | None:
    text = r.optional_text(path)
    return None if text is None else relative_to(r.folder, text)


def _folder_there(r: Reader, path: Keypath) -> str | None:
    text = r.optional_text(path)
    if text is not None and not (text.startswith(("/", "~/")) or text == "~"):
        r.add(path, f'"{text}" must begin with / or ~/', "it is a folder on the node")
    return text


def _python(r: Reader, path: Keypath) -> str | None:
    text = r.optional_text(path)
    if text is not None and "/" in text and not text.startswith(("/", "~/")):
        r.add(path, f'"{text}" must be a name, or begin with / or ~/', "it is a program on the node")
    return text


def _tags(r: Reader, path: Keypath) -> tuple[str, ...]:
    tags = r.texts(path)
    single = r.has(path) and r.node(path).kind == "scalar"
    for i, tag in enumerate(tags):
        if not _TAG.fullmatch(tag) or tag == "not":
            r.add(path if single else (*path, i), f'"{tag}" is no tag', "a tag is one word, as in: [gpu, x86]")
    return tags


def _gpus(r: Reader, path: Keypath) -> tuple[int | str, ...] | str | None:
    if r.empty(path):
        return None
    node = r.node(path)
    if node.kind == "scalar" and node.text in ("all", "free"):
        return node.text
    if node.kind != "list":
        r.add(path, f'"gpus" takes indices, all or free, not {described(node)}', "as in gpus: [0, 1]")
        return None
    found = [_gpu(r, item) for item in r.items(path)]
    return tuple(dict.fromkeys(card for card in found if card is not None))


def _gpu(r: Reader, path: Keypath) -> int | str | None:
    """An index, or a name as the driver gives."""
    node = r.node(path)
    named = node.kind == "scalar" and node.text.startswith(("MIG-", "GPU-")) and len(node.text) > 4
    return node.text if named else r.whole(path, 0)


def _memory(r: Reader, path: Keypath) -> int | None:
    text = r.optional_text(path)
    if text is None:
        return None
    try:
        return memory(text)
    except ValueError as error:
        r.add(path, str(error), MEMORY_HINT)
        return None


def _resources(r: Reader, path: Keypath) -> dict[str, int] | None:
    if r.empty(path) or not r.is_mapping(path, "a mapping, such as {scope: 1}"):
        return None
    found: dict[str, int] = {}
    for name in r.keys(path):
        if error := name_error(name):
            r.add((*path, name), *error, at_key=True)
        elif name in RESERVED:
            hint = "each node says itself what it has of that" if name in OF_A_NODE else ""
            r.add((*path, name), f'"{name}" can\'t be the name of a resource', hint, at_key=True)
        elif (count := r.whole((*path, name), 1)) is not None:
            found[name] = count
    return found


def _ahead(r: Reader, path: Keypath) -> Ahead | None:
    text = r.optional_text(path)
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+", text):
        return Ahead(count=min(int(text), MOST_SLOTS))
    try:
        return Ahead(seconds=duration(text))
    except ValueError:
        r.add(path, f'"ahead" takes a number of tasks or a time, not "{text}"', "as in ahead: 8h, or ahead: 500")
        return None


def _lost_after(r: Reader, path: Keypath) -> float | None:
    return None if r.empty(path) else read_grace(r, path)


_READERS: Final[Mapping[str, Callable[[Reader, Keypath], Any]]] = {
    "name": _name,
    "host": _host,
    "port": _port,
    "user": _user,
    "key": _file_here,
    "known_hosts": _file_here,
    "slots": lambda r, path: None if r.empty(path) else r.whole(path, 1, MOST_SLOTS),
    "tags": _tags,
    "gpus": _gpus,
    "memory": _memory,
    "resources": _resources,
    "workdir": _folder_there,
    "python": _python,
    "setup": read_setup,
    "env": read_env,
    "ahead": _ahead,
    "lost_after": _lost_after,
    "spool": _folder_there,
}
