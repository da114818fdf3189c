"""The nodes of a lab as a table: `tui-lab nodes`, `status --nodes`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tui_lab.client.formatting import plural, printable, span
from tui_lab.client.node_formatting import ended_words, trouble
from tui_lab.experiment.data_types import JsonObject
from tui_lab.protocol.agent import Facts
from tui_lab.protocol.control import Gpu, ListNodes, NodeStatus
from tui_lab.results.terminal.guard import console as new_console
from tui_lab.store import layout
from tui_lab.store.errors import StorageError

if TYPE_CHECKING:
    from tui_lab.store.lab import Lab

# A state has its word; colour only repeats it.
STYLES: Final = {
    "up": "green",
    "connecting": "cyan",
    "away": "yellow",
    "drained": "yellow",
    "quarantined": "bold red",
    "lost": "bold red",
    "failed": "bold red",
    "pool": "cyan",
}
_TASKS_SHOWN: Final = 5
_WHERE_KNOWN: Final = (
    *("load", "memory", "memory_used", "gpus", "latency", "clock_offset"),
    *("away_for", "lost_in", "pool", "job", "ends_in", "pending", "starts_in"),
)


@dataclass(frozen=True)
class Nodes:
    """The nodes as the engine tells of them, or as they were sampled last where none is running."""

    alive: bool  # an engine is running
    nodes: Sequence[NodeStatus]
    notice: str = ""


def query_nodes(lab: Lab) -> Nodes:
    """What is known of the nodes of a lab. Raises LabError where the engine refuses."""
    from tui_lab.engine.client import EngineClient, EngineGone, EngineSilent
    from tui_lab.results.node_samples import last_samples

    notice = "no engine is running"
    try:
        client = EngineClient.connect(lab)
        if client is not None:
            answer = client.request(ListNodes())
            client.close()
            return Nodes(True, answer.nodes)
    except EngineGone:
        pass
    except EngineSilent:
        raise
    except StorageError as error:  # one on another host
        notice = error.message
    samples = last_samples(lab.path / layout.NODES_FILE)
    nodes = [NodeStatus.of({**sample, "name": sample["node"]}) for sample in samples]
    return Nodes(False, nodes, notice)


def _folded(nodes: Sequence[NodeStatus]) -> list[NodeStatus]:
    """Count the nodes that each pool was granted: they are gone for ever."""
    found = [node for node in nodes if not node.pool]
    for pool in dict.fromkeys(node.pool for node in nodes if node.pool):
        own = [node for node in nodes if node.pool == pool]
        at = max((node.at for node in own if node.at is not None), default=None)
        found.append(NodeStatus(name=pool, state="pool", at=at, doing=ended_words(len(own))))
    return found


def as_json(node: NodeStatus) -> JsonObject:  # for `--json` alone
    """A node as `--json` prints it: what is measured only where it is known, and the way back only where it is
    away."""
    members = msgspec.to_builtins(node)
    away = () if node.away_for is None else ("away_for", "lost_in")
    left_out = [name for name in _WHERE_KNOWN if members[name] is None and name not in away]
    return {"node": node.name, **{name: value for name, value in members.items() if name not in left_out}}


def show(found: Nodes, console: Console | None = None) -> None:
    """Print the table, and below it what each node runs and what is wrong with it. Where there is little width,
    columns that can be missed are left out."""
    console = console or new_console(highlight=False)
    if not found.nodes:
        console.print(found.notice or "the engine has no nodes yet", soft_wrap=True)
        return
    if not found.alive:
        console.print(f"{found.notice}; the last known state of its nodes:", soft_wrap=True)
        found = replace(found, nodes=_folded(found.nodes))
    columns = [column for column in _COLUMNS if column.alive in (None, found.alive)]
    columns = [column for column in columns if any(column.cell(node) for node in found.nodes)]
    cards_apart = _wanted(columns, found.nodes) > console.width
    # How old it is matters most of what is no longer so.
    for spare in (_gpus, _clock, _latency, _load, *((_seen, _memory) if found.alive else (_memory, _python, _slots))):
        if _wanted(columns, found.nodes) > console.width:
            columns = [column for column in columns if column.cell is not spare]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for column in columns:
        name = column.title == "node"
        justify: Literal["left", "right"] = "left" if column.left else "right"
        table.add_column(column.title, justify=justify, no_wrap=not name, overflow="fold" if name else "ellipsis")
    for node in found.nodes:
        style = STYLES.get(node.state or "", "")
        table.add_row(*(Text(c.cell(node), style if c.title == "state" else "") for c in columns))
    console.print(table)
    for node in found.nodes:
        for line in _remarks(node, found.nodes, cards_apart):
            console.print(Text(line), soft_wrap=True)


def _wanted(columns: Sequence[_Column], nodes: Sequence[NodeStatus]) -> int:
    """The width of the table where nothing is cut."""
    return sum(1 + max(len(text) for text in (c.title, *map(c.cell, nodes))) for c in columns) - 1


def _remarks(node: NodeStatus, nodes: Sequence[NodeStatus], cards_apart: bool) -> list[str]:
    """What does not fit the table: what is wrong, and the tasks that are there."""
    name = printable(node.name)
    lines = []
    if wrong := trouble(node, nodes):
        lines.append(f"! {name}: {wrong}")
    if doing := node.doing:
        lines.append(f"  {name}: {printable(doing)}")
    if len(_cards(node)) > (0 if cards_apart else 1):
        lines.append(f"  {name} GPUs {', '.join(map(_card, _cards(node)))}")
    if tasks := node.tasks:
        shown = [_task(*task) for task in tasks[:_TASKS_SHOWN]]
        more = f" and {len(tasks) - len(shown):,} more" if len(tasks) > len(shown) else ""
        lines.append(f"  {name} {'has' if node.away_for is None else 'had'} {', '.join(shown)}{more}")
    return lines


def _task(experiment: str, task: int, attempt: int) -> str:
    return f"{experiment}/{task}" + (f".{attempt}" if attempt > 1 else "")


# --- Columns


def _slots(node: NodeStatus) -> str:
    return "" if node.slots is None else f"{node.used or 0}/{node.slots}"


def _cores(node: NodeStatus) -> str:
    return "" if node.cores is None else str(node.cores)


def _python(node: NodeStatus) -> str:
    return printable(node.python or "")


def _load(node: NodeStatus) -> str:
    load = node.load
    return "" if load is None else f"{load:.{0 if load >= 10 else 1}f}"


def _memory(node: NodeStatus) -> str:
    return _share(node.memory_used, node.memory)


def _cards(node: NodeStatus) -> list[Gpu]:
    return node.gpus or []


def _gpus(node: NodeStatus) -> str:
    """How many, how busy on the whole, and their memory together."""
    cards = _cards(node)
    busy = [card.used for card in cards if card.used is not None]
    used, whole = (sum(getattr(card, name) or 0 for card in cards) for name in ("memory_used", "memory"))
    parts = [f"{len(cards)} x"] if len(cards) > 1 else []
    parts += [f"{sum(busy) / len(busy):.0f}%"] if busy else []
    parts += [_share(used, whole)] if whole else []
    return " ".join(parts)


def _card(card: Gpu) -> str:
    busy = "" if card.used is None else f" {card.used:.0f}%"
    return f"{card.index}:{busy} {_share(card.memory_used, card.memory)}".rstrip()


def _share(used: float | None, whole: float | None) -> str:
    """`12/64G`; values below ten units have one decimal place."""
    if not whole:
        return ""
    power = 0
    while whole >= (10 if power == 3 else 1) * 1024 ** (power + 1) and power < 4:
        power += 1
    unit = 1024.0**power
    total = f"{whole / unit:.0f}{'BKMGT'[power]}"
    return total if used is None else f"{used / unit:.{0 if used >= 10 * unit else 1}f}/{total}"


def _latency(node: NodeStatus) -> str:
    latency = node.latency
    return "" if latency is None else f"{latency * 1000:.0f} ms" if latency < 1 else span(latency)


def _clock(node: NodeStatus) -> str:
    """How far the node's clock is ahead; a tenth of a second is nothing, the way there may take as long."""
    offset = node.clock_offset
    if offset is None:
        return ""
    return "0 s" if abs(offset) < 0.1 else ("+" if offset > 0 else "-") + " ".join(span(abs(offset)).split()[:2])


def _there(node: NodeStatus) -> str:
    """Tasks handed to it: those that run and those that wait there."""
    return "" if node.open is None else f"{node.open:,}"


def _left(node: NodeStatus) -> str:
    return "" if node.ends_in is None else span(max(1.0, node.ends_in))


def _seen(node: NodeStatus) -> str:
    return "" if node.at is None else f"{span(max(0.0, time.time() - node.at))} ago"


@dataclass(frozen=True)
class _Column:
    title: str
    cell: Callable[[NodeStatus], str]
    left: bool = False
    alive: bool | None = None  # only with an engine, or only without


_COLUMNS: Final = (
    _Column("node", lambda node: printable(node.name), left=True),
    _Column("state", lambda node: node.state or "", left=True),
    _Column("slots", _slots),
    _Column("cores", _cores, alive=False),
    _Column("Python", _python, alive=False),
    _Column("load", _load),
    _Column("memory", _memory),
    _Column("GPUs", _gpus),
    _Column("latency", _latency),
    _Column("clock", _clock),
    _Column("tasks", _there, alive=True),
    _Column("ends in", _left, alive=True),
    _Column("seen", _seen),
)


# --- Facts


def facts_line(facts: Facts) -> str:
    """A node in a line: system, kernel, processor, memory, GPUs, Python; what is not known is left out."""
    parts = [str(facts[name]) for name in ("os", "kernel") if facts.get(name)]
    machine = str(facts.get("cpu") or "")
    if cores := facts.get("cores"):
        machine = f"{machine} ({plural(cores, 'core')})" if machine else plural(cores, "core")
    parts += [machine] if machine else []
    if memory := facts.get("memory"):
        parts.append(f"{_share(None, memory)} of memory")
    names = [str(gpu.get("name", "GPU")) for gpu in facts.get("gpus") or [] if isinstance(gpu, Mapping)]
    parts += [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    if facts.get("python"):
        parts.append(f"Python {facts['python']}")
    return printable(", ".join(parts))
