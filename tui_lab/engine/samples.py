"""Samples of nodes: their load, memory and GPUs over time, in `nodes.jsonl` of the lab."""

from __future__ import annotations

import logging
import os
import time
from typing import Final, TypedDict

from tui_lab.engine.connection import NodeConnection
from tui_lab.protocol.agent import Gpu, Sample
from tui_lab.store import json_text, layout
from tui_lab.store.lab import Lab

LIMIT: Final = 16 << 20  # bytes of the file, beyond which its older half goes

log = logging.getLogger(__name__)


class NodeSample(TypedDict, total=False):
    """A line of `nodes.jsonl`: how a node stands. `pool`: what it was granted for, if it was. Memory in bytes;
    `latency` and `clock_offset` in seconds."""

    node: str
    at: float
    pool: str
    state: str
    slots: int
    used: int
    open: int
    cores: int
    memory: int | None
    python: str
    error: str
    load: float | None
    memory_used: int | None
    gpus: list[Gpu]
    latency: float
    clock_offset: float


class Samples:
    """Writes samples. If the disk has no room they are dropped: nothing depends on them."""

    def __init__(self, lab: Lab) -> None:
        self.path = lab.path / layout.NODES_FILE
        self._states: dict[str, str] = {}  # of each node, as it was written last

    def take(self, node: NodeConnection, message: Sample) -> None:
        """Write a sample."""
        node.sample = message
        self._write(node)

    def note(self, node: NodeConnection) -> None:
        """Write that the state of a node has changed."""
        if not node.ready:
            node.sample = None
        if self._states.get(node.name) != node.state.state:
            self._write(node)

    def _write(self, node: NodeConnection) -> None:
        self._states[node.name] = node.state.state
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


def sample_of(node: NodeConnection) -> NodeSample:
    """Return the state of a node now, as a line of `nodes.jsonl`."""
    state, measured = node.state, node.sample
    sample: NodeSample = {
        "node": node.name,
        "at": round(time.time(), 3),
        "state": state.state,
        "slots": state.slots,
        "used": min(measured.running if measured is not None else 0, state.slots),
        "open": len(state.open),
    }
    if state.pool:
        sample["pool"] = state.pool
    if "cores" in node.facts:
        sample["cores"] = node.facts["cores"]
    if "memory" in node.facts:
        sample["memory"] = node.facts["memory"]
    if "python" in node.facts:
        sample["python"] = node.facts["python"]
    if not node.ready:  # what was measured before it went says nothing of now
        return sample | ({"error": state.error} if state.error else {})
    if measured is not None:
        sample |= {"load": measured.load, "memory": measured.memory, "memory_used": measured.memory_used}
        sample["gpus"] = measured.gpus
    if node.latency is not None and node.clock_offset is not None:
        sample |= {"latency": round(node.latency, 6), "clock_offset": round(node.clock_offset, 3)}
    return sample
