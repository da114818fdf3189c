"""`tui-lab nodes`: show the nodes; change slots; drain, resume, reconnect and add nodes."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tui_lab.cli.options import Parser, add_common, add_json, add_nodes, examples, open_lab, print_json
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE, INFRASTRUCTURE
from tui_lab.client.formatting import printable
from tui_lab.client.node_formatting import permanent_error
from tui_lab.experiment.data_types import JsonObject
from tui_lab.protocol.control import (
    AddNode,
    Command,
    ListNodes,
    NodeAdded,
    NodeStatus,
    ReconnectNode,
)

if TYPE_CHECKING:
    from tui_lab.client.control import Operation
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.lab import Lab

_ACTIONS: Final = ("set", "drain", "resume", "reconnect", "add")
_UP: Final = {"up": "is up", "drained": "is up, and drained", "quarantined": "is up, in quarantine"}
_PATIENCE: Final = 30.0  # seconds that a node may take to be reached
_SLOTS: Final = re.compile(r"slots=(-?\d+)")


class _Change(NamedTuple):
    """A command about a node, and the text for when it is done."""

    node: str
    command: Command[Any]
    said: str


def main(arguments: list[str]) -> int:
    """Run `tui-lab nodes`; return the exit status."""
    parser = Parser(
        "nodes",
        usage="tui-lab nodes [--json]\n"
        "       tui-lab nodes set NAME slots=N\n"
        "       tui-lab nodes drain|resume|reconnect NAME...\n"
        "       tui-lab nodes add [EXPERIMENT...] --node [USER@]HOST[:PORT] [SLOTS] [TAG...]\n"
        "       tui-lab nodes add [EXPERIMENT...] --cluster FILE",
        description="Show the nodes of a lab; without an engine, their last known state.\n\n"
        "During a run: `set` changes how many tasks a node runs at once, `drain` lets it finish its\n"
        "tasks and gives it no more, `resume` gives it tasks again (also if it is in quarantine), `reconnect` tries\n"
        "to reach it now, and `add` adds a node to the running experiments (by default to all). The last\n"
        "two say if the node was reached; if not, the exit status is 3.",
        epilog=examples(
            ("tui-lab nodes", "show all nodes"),
            ("tui-lab nodes set tower slots=8", "run eight tasks at once there"),
            ("tui-lab nodes drain tower", "start nothing new there; running tasks may finish"),
            ("tui-lab nodes add --node ana@tower 16 gpu", "add a node to all running experiments"),
            ("tui-lab nodes add --cluster more.yaml", "add the nodes of a file that are not in use yet"),
            ("tui-lab nodes reconnect tower", "try again now, after a repair"),
        ),
    )
    parser.add_argument("action", nargs="?", metavar="ACTION", help=", ".join(_ACTIONS))
    parser.add_argument("words", nargs="*", metavar="NAME", help="nodes; with `add` experiments")
    add_nodes(parser)
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)
    lab = open_lab(args)
    if args.action is None:
        if args.node or args.cluster:
            raise UsageError("nodes: to add a node, type: tui-lab nodes add --node ana@tower 16")
        _list(lab, args)
    elif args.action in _ACTIONS:
        return _change(lab, args)
    else:
        from tui_lab.experiment.yaml.problem import suggest

        raise UsageError(f'nodes: there is no "{args.action}"; ' + (suggest(args.action, _ACTIONS) or _known()))
    return DONE


def _known() -> str:
    return f"it is one of {', '.join(_ACTIONS)}"


def _list(lab: Lab, args: argparse.Namespace) -> None:
    from tui_lab.cli.output.node_table import as_json, query_nodes, show

    found = query_nodes(lab)
    if args.json:
        print_json({"lab": str(lab.path), "engine": found.alive, "nodes": [as_json(node) for node in found.nodes]})
    else:
        show(found)


def _change(lab: Lab, args: argparse.Namespace) -> int:
    """Send commands to the engine, print what it did, and whether nodes could be reached."""
    from tui_lab.engine.client import EngineClient

    asked = _asked(lab, args)
    client = EngineClient.connect(lab)
    if client is None:
        raise UsageError(f"no engine is running in {lab.path}; nodes can be changed only during a run")
    done: list[JsonObject] = []
    for name, command, said in asked:
        answer = client.request(command)
        reaching = isinstance(command, AddNode | ReconnectNode)
        if isinstance(answer, NodeAdded) and not answer.experiments:
            said, reaching = f"{name}: is in use already; `tui-lab nodes set {name} slots=N` changes its slots", False
        _say(said, args)
        about = {"command": command.kind, **msgspec.to_builtins(command), **msgspec.to_builtins(answer)}
        if reaching:
            about |= _reached(client, name)
            _say(_outcome(name, about["state"], about["error"]), args)
        done.append({name: value for name, value in about.items() if name != "environment"})
    client.close()
    if args.json:
        print_json({"lab": str(lab.path), "done": done})
    return INFRASTRUCTURE if any(one.get("error") for one in done) else DONE


def _outcome(name: str, state: str, error: str) -> str:
    if not error:
        return f"{name}: {_UP[state]}"
    return f"! {name}: " + (permanent_error(name, error) if state == "failed" else f"{error}; the engine keeps trying")


def _say(text: str, args: argparse.Namespace) -> None:
    if not args.json:
        print(printable(text), file=sys.stderr)


def _reached(client: EngineClient, name: str) -> dict[str, str]:
    """Return state and error of a node once it has answered, or a try has failed."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        node = next((node for node in client.request(ListNodes()).nodes if node.name == name), None)
        if node is None or node.error or node.state in _UP or time.monotonic() > deadline:
            state = "" if node is None else node.state or ""
            error = "" if state in _UP else (node and node.error) or "it has not answered yet"
            return {"state": state, "error": error}
        time.sleep(0.1)


def _asked(lab: Lab, args: argparse.Namespace) -> list[_Change]:
    """Return commands for the engine, and the text for when they are done. Raises UsageError."""
    from tui_lab.client.control import drain_node, resume_node, set_slots

    action, words = args.action, args.words
    if (args.node or args.cluster) and action != "add":
        raise UsageError(f"nodes {action}: --node and --cluster belong to add")
    if action == "add":
        from tui_lab.client.nodes import read_nodes

        if not args.node and not args.cluster:
            raise UsageError("nodes add: which node? As in: tui-lab nodes add --node ana@tower 16")
        names = [lab.experiment(word).name for word in words] or None
        where = f"joins {', '.join(names)}" if names else "joins all running experiments"
        entries = read_nodes(args.node, args.cluster)
        environment = dict(os.environ)
        return [_Change(e["name"], AddNode(e, names, environment), f"{e['name']}: {where}") for e in entries]
    if action == "set":
        match = _SLOTS.fullmatch(words[1]) if len(words) == 2 else None
        if match is None:
            raise UsageError("nodes set: a node and its slots, as in: tui-lab nodes set tower slots=8")
        slots = int(match[1])
        if slots < 1:
            raise UsageError(f"nodes set: slots={slots} is too few; `tui-lab nodes drain {words[0]}` gives it no tasks")
        from tui_lab.experiment.cluster.model import MOST_SLOTS

        if slots > MOST_SLOTS:
            raise UsageError(f"nodes set: slots={slots} is too many; a node has at most {MOST_SLOTS:,}")
        return [_said(set_slots(NodeStatus(name=words[0]), slots))]
    if not words:
        raise UsageError(f"nodes {action}: which node? `tui-lab nodes` lists them")
    if action == "reconnect":
        environment = dict(os.environ)
        return [_Change(name, ReconnectNode(name, environment), f"{name}: is being connected") for name in words]
    make = drain_node if action == "drain" else resume_node
    return [_said(make(NodeStatus(name=name))) for name in words]


def _said(operation: Operation) -> _Change:
    hint = f". {operation.hint}" if operation.hint else ""
    return _Change(operation.subject, operation.command, f"{operation.subject}: {operation.done}{hint}")
