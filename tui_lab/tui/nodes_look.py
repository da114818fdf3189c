"""How nodes are shown: a row each, and all that is known of the one under the cursor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, Final

import polars as pl
from textual.content import Content

from tui_lab.cli.node_words import trouble
from tui_lab.cli.text import printable, size, span
from tui_lab.tui.snapshot import LabSnapshot, NodeSample
from tui_lab.tui.table import Column
from tui_lab.tui.table_layout import GAP, GUTTER
from tui_lab.tui.words import MUTED, bar, sparkline

# state -> (mark, mark in ASCII, tone)
STATES: Final = {
    "up": ("●", "*", "success"),
    "connecting": ("◌", "~", "primary"),
    "away": ("!", "!", "warning"),
    "drained": ("■", "#", "warning"),
    "quarantined": ("⊘", "%", "warning"),
    "lost": ("?", "?", "error"),
    "failed": ("✗", "x", "error"),
    "not in use": ("·", ".", "muted"),
}
BAR: Final = 12  # cells of a bar
VALUE: Final = 21  # cells of the words behind it
Samples = Mapping[str, Sequence[NodeSample]]


def nodes_of(snapshot: LabSnapshot) -> list[dict[str, Any]]:
    """The engine's nodes; then those that the lab remembers, and that nothing uses now."""
    nodes = list(snapshot.engine.nodes) if snapshot.engine is not None else []
    known = {node["name"] for node in nodes}
    rest = {name: past[-1].at for name, past in sorted(snapshot.samples.items()) if name not in known and past}
    return nodes + [{"name": name, "state": "not in use", "at": at} for name, at in rest.items()]


def nodes_frame(nodes: Sequence[Mapping[str, Any]], samples: Samples, ascii: bool, width: int) -> pl.DataFrame:
    """A row for each node, ready to be shown in a table of `width` cells."""
    spark = _spark_width(width)
    rows = []
    for node in nodes:
        past = samples.get(node["name"], ())
        live = _live(node)
        rows.append(
            {
                "name": printable(str(node["name"])),
                "state": state_words(str(node.get("state", "")), ascii) + _since(node),
                "slots": _slots(node),
                "load": _number(node.get("load")) + _spark(past, "load", spark, ascii) if live else None,
                "memory": _percent(past, "memory") + _spark(past, "memory", spark, ascii) if live else None,
                "gpu": _percent(past, "gpu") + _spark(past, "gpu", spark, ascii) if node.get("gpus") and live else None,
                "note": printable(str(node.get("error") or node.get("doing") or ""))
                or " ".join(map(str, node.get("tags") or ())),
            }
        )
    names = ("name", "state", "slots", "load", "memory", "gpu", "note")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def columns(ascii: bool, gpus: bool, width: int) -> list[Column]:
    tones = {words[ascii]: tone for *words, tone in STATES.values()}
    history = 5 + _spark_width(width)
    found = [
        Column("name", "node", width=max(8, min(16, width // 7))),
        Column("state", width=13, style=lambda value: tones.get(value[:1], "")),
        Column("slots", align="right", width=7),
        Column("load", width=history),
        Column("memory", width=history),
    ]
    if gpus:
        found.append(Column("gpu", "GPUs", width=history))
    room = width - GUTTER - 1 - sum((column.width or 0) + GAP for column in found)
    if room >= 10:
        found.append(Column("note", "tags, or what is wrong", width=room, style=lambda value: "muted"))
    return found


def state_words(state: str, ascii: bool) -> str:
    mark = STATES.get(state, ("·", ".", ""))[ascii]
    return f"{mark} {state}"


def _live(node: Mapping[str, Any]) -> bool:
    """What is known of it is of now."""
    return node.get("state") != "not in use" and node.get("away_for") is None


def _since(node: Mapping[str, Any]) -> str:
    """For how long it has been away, as far as there is room."""
    if node.get("state") != "away" or node.get("away_for") is None:
        return ""
    return " " + " ".join(span(max(1.0, node["away_for"])).split()[:2])


def _slots(node: Mapping[str, Any]) -> str | None:
    if node.get("slots") is None:
        return None
    return f"{node.get('used', node.get('open', 0))}/{node['slots']}"


def _number(value: Any) -> str:
    return f"{value:>4.1f} " if isinstance(value, (int, float)) else "   - "


def _percent(past: Sequence[NodeSample], name: str) -> str:
    value = getattr(past[-1], name) if past else None
    return f"{100 * value:>3.0f}% " if value is not None else "   - "


def _spark(past: Sequence[NodeSample], name: str, width: int, ascii: bool) -> str:
    return sparkline([getattr(one, name) for one in past], width, ascii)


def _spark_width(width: int) -> int:
    """Cells of the history in a row."""
    return 4 if width < 100 else 10


def detail(
    node: Mapping[str, Any], past: Sequence[NodeSample], width: int, ascii: bool, nodes: Sequence[Mapping[str, Any]]
) -> Content:
    """All that is known of one of the nodes: what it is, its history, what is wrong, what runs there."""
    live = _live(node)
    lines = [_what(node)]
    if wrong := trouble(node, nodes):
        lines += _wrapped("error" if live else "", wrong, width)
    tasks = node.get("tasks")
    if tasks is not None:
        label = "running  " if live else "it had   "
        lines.append(Content.assemble((label, MUTED), _tasks(tasks, max(20, width - 10))))
    for name, label in (("load", "load"), ("memory", "memory"), ("gpu", "GPUs")):
        values = [getattr(one, name) for one in past]
        if any(value is not None for value in values):
            now = values[-1] or 0.0
            cells = bar(BAR, [(min(now, 1), "$error" if now > 1 else "$primary")], 1, ascii) if live else [" " * BAR]
            line = sparkline(values, max(8, width - 9 - BAR - VALUE - 3), ascii)
            words = f"  {_now(node, past, name) if live else 'before':<{VALUE}}"
            lines.append(Content.assemble((f"{label:<9}", MUTED), *cells, words, (line, "$primary")))
    gpus = [f"{gpu.get('index', '?')}: {_gpu(gpu)}" for gpu in node.get("gpus") or () if live]
    if gpus:
        lines.append(Content.assemble(("each GPU ", MUTED), "   ".join(gpus)))
    return Content("\n").join(lines)


def _wrapped(label: str, text: str, width: int) -> list[Content]:
    """Text behind a label, in as many lines as it takes."""
    lines = wrap(text, max(20, width - 9))
    return [
        Content.assemble((f"{'' if number else label:<9}", MUTED), (line, "$text-error"))
        for number, line in enumerate(lines)
    ]


def _what(node: Mapping[str, Any]) -> Content:
    facts = [
        str(node["host"]) if node.get("host") else "",
        f"{node['cores']} cores" if node.get("cores") else "",
        size(node["memory"]) if node.get("memory") else "",
        f"Python {node['python']}" if node.get("python") else "",
        f"answers in {span(node['latency'])}" if node.get("latency") is not None else "",
        f"clock off by {span(abs(node['clock_offset']))}" if abs(node.get("clock_offset") or 0) > 1 else "",
        _seen(node),
        f"tags {' '.join(map(str, node['tags']))}" if node.get("tags") else "",
    ]
    words = "  ".join(printable(fact) for fact in facts if fact)
    return Content.assemble((printable(str(node["name"])), "bold"), "  ", (words, MUTED))


def _seen(node: Mapping[str, Any]) -> str:
    at = node.get("at")
    if _live(node) or not isinstance(at, int | float):
        return ""
    return f"seen {span(max(0.0, time.time() - at))} ago"


def _now(node: Mapping[str, Any], past: Sequence[NodeSample], name: str) -> str:
    if name == "load" and node.get("load") is not None:
        return f"{node['load']:.1f} on {node['cores']} cores" if node.get("cores") else f"{node['load']:.1f}"
    if name == "memory" and node.get("memory_used") is not None:
        return f"{size(node['memory_used'])} of {size(node['memory'])}" if node.get("memory") else ""
    value = getattr(past[-1], name)
    return f"{100 * value:.0f}%" if value is not None else ""


def _gpu(gpu: Mapping[str, Any]) -> str:
    used = f"{gpu['used']:.0f}% busy" if gpu.get("used") is not None else ""
    memory = gpu.get("memory_used")
    held = f"{size(memory)} of {size(gpu['memory'])}" if memory is not None and gpu.get("memory") else ""
    return ", ".join(part for part in (used, held) if part)


def _tasks(tasks: Sequence[Sequence[Any]], room: int) -> str:
    """`grid/17 grid/18.2`: as many as fit, then how many more."""
    if not tasks:
        return "nothing"
    found = ""
    for number, (experiment, task, attempt) in enumerate(tasks):
        word = f"{experiment}/{task}" + (f".{attempt}" if attempt > 1 else "")
        rest = f" and {len(tasks) - number} more"
        if found and len(found) + len(word) + len(rest) > room:
            return found.rstrip() + rest
        found += word + " "
    return found.rstrip()
