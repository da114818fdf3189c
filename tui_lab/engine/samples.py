"""Samples of nodes: their load, memory and GPUs over time, in `nodes.jsonl` of the lab."""

from __future__ import annotations

import logging
import os
import time
from typing import Any, Final

from tui_lab.engine.node import Message, Node
from tui_lab.store import json_text, layout
from tui_lab.store.lab import Lab

LIMIT: Final = 16 << 20  # bytes of the file, beyond which its older half goes

log = logging.getLogger(__name__)

# What an agent measures; the rest is the engine's.
_MEASURED: Final = ("load", "memory", "memory_used", "gpus")
_KNOWN: Final = ("cores", "memory", "python")  # from its first word on


class Samples:
    """The writing end. What the disk does not take is left out: nothing depends on it."""

    def __init__(self, lab: Lab) -> None:
        self.path = lab.path / layout.NODES_FILE
        self._states: dict[str, str] = {}  # of each node, as it was written last

    def take(self, node: Node, message: Message) -> None:
        """Write down one sample."""
        node.sample = {name: message[name] for name in _MEASURED if name in message}
        node.sample["running"] = message.get("running", 0)
        self._write(node)

    def note(self, node: Node) -> None:
        """Write down that a node stands otherwise than before: it has come, it has gone."""
        if not node.ready:
            node.sample = {}
        if self._states.get(node.name) != node.state:
            self._write(node)

    def _write(self, node: Node) -> None:
        self._states[node.name] = node.state
        try:
            data = json_text.line(sample_of(node))
            with open(self.path, "ab") as file:
                file.write(data)
                size = file.tell()
            if size > LIMIT:
                self._halve()
        except OSError as error:
            log.warning("%s: %s", self.path, error)

    def _halve(self) -> None:
        with open(self.path, "rb") as file:
            file.seek(-LIMIT // 2, os.SEEK_END)
            file.readline()
            rest = file.read()
        partial = self.path.with_suffix(".partial")
        partial.write_bytes(rest)
        partial.replace(self.path)


def sample_of(node: Node) -> dict[str, Any]:
    """How a node stands now, as a line of `nodes.jsonl`."""
    sample: dict[str, Any] = {
        "node": node.name,
        "at": round(time.time(), 3),
        "state": node.state,
        "slots": node.slots,
        "used": min(node.sample.get("running", 0), node.slots),
        "open": len(node.open),
        **{name: node.facts[name] for name in _KNOWN if name in node.facts},
    }
    if not node.ready:  # what was measured before it went is no news
        return sample | ({"error": node.error} if node.error else {})
    sample |= {name: node.sample[name] for name in _MEASURED if name in node.sample}
    if node.latency is not None and node.clock_offset is not None:
        sample |= {"latency": round(node.latency, 6), "clock_offset": round(node.clock_offset, 3)}
    return sample
