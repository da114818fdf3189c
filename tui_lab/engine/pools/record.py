"""What a lab has asked engines for, in `allocations.jsonl`: written ahead, so that another engine of ours finds what
one that was killed has left.

Lines: `{"asked": NAME, "pool": POOL, "entry": {...}, "at": SECONDS}`, `{"granted": NAME, "id": ID, "node": NODE}`,
`{"ended": NAME, "cause": CAUSE}`, and in place of what is over `{"counts": {POOL: N}}`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store import json_text, layout
from tui_lab.store.errors import storage_error
from tui_lab.store.lab import Lab


@dataclass
class Asked:
    """An allocation that has not ended, as far as the file says. `nodes`: what it was called as a node."""

    name: str
    pool: str
    entry: NodeEntry
    nodes: list[str] = field(default_factory=list)


class AllocationRecord:
    """Raises StorageError where the file can't be read or written."""

    def __init__(self, lab: Lab) -> None:
        self.path = lab.path / layout.ALLOCATIONS_FILE
        self.prefix = f"tl-{lab.identity}-"
        self.open: dict[str, Asked] = {}
        self.ended: dict[str, str] = {}  # nodes whose allocation is over -> cause
        self._counts: dict[str, int] = {}  # the highest number of each pool
        self._read()

    def prefix_of(self, pool: str) -> str:
        """Return how the names of a pool's allocations begin."""
        return f"{self.prefix}{pool}-"

    def ask(self, pool: str, entry: NodeEntry, count: int) -> list[str]:
        """Return new names, which are on the disk."""
        names = []
        for _ in range(count):
            self._counts[pool] = self._counts.get(pool, 0) + 1
            names.append(f"{self.prefix_of(pool)}{self._counts[pool]}")
        at = round(time.time(), 3)
        self._write([{"asked": name, "pool": pool, "entry": entry, "at": at} for name in names], sync=True)
        self.open |= {name: Asked(name, pool, entry) for name in names}
        return names

    def grant(self, name: str, number: str, node: str) -> None:
        """Write that an allocation is there, as a node."""
        if name in self.open and node not in self.open[name].nodes:
            self.open[name].nodes.append(node)
            self._write([{"granted": name, "id": number, "node": node}], sync=True)

    def end(self, names: Sequence[str], cause: str) -> None:
        """Write that allocations are over."""
        gone = [self.open.pop(name) for name in names if name in self.open]
        self.ended |= {node: cause for one in gone for node in one.nodes}
        self._write([{"ended": one.name, "cause": cause} for one in gone])

    def _write(self, lines: Sequence[dict[str, Any]], *, sync: bool = False) -> None:
        if not lines:
            return
        try:
            with open(self.path, "ab") as file:
                file.write(b"".join(map(json_text.line, lines)))
                file.flush()
                if sync:
                    os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self.path, error) from error

    def _read(self) -> None:
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise storage_error(self.path, error) from error
        for line in data.splitlines():
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # cut off when the machine went down: it was not asked for yet
        if data and not data.endswith(b"\n"):
            self._compact()

    def _take(self, line: dict[str, Any]) -> None:
        if "asked" in line:
            name, pool = line["asked"], line["pool"]
            self.open[name] = Asked(name, pool, line["entry"])
            number = re.search(r"\d+$", name)
            self._counts[pool] = max(self._counts.get(pool, 0), int(number[0]) if number else 0)
        elif "granted" in line and line["granted"] in self.open:
            self.open[line["granted"]].nodes.append(line["node"])
        elif "ended" in line and line["ended"] in self.open:
            self.ended |= dict.fromkeys(self.open.pop(line["ended"]).nodes, line["cause"])
        elif "counts" in line:
            self._counts |= line["counts"]

    def compact(self) -> None:
        """Leave out what is over, once that is much."""
        try:
            if self.path.stat().st_size > 1 << 20:
                self._compact()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise storage_error(self.path, error) from error

    def _compact(self) -> None:
        partial = self.path.with_suffix(".partial")
        lines: list[dict[str, Any]] = [{"counts": self._counts}]
        for one in self.open.values():
            lines.append({"asked": one.name, "pool": one.pool, "entry": one.entry, "at": round(time.time(), 3)})
            lines += [{"granted": one.name, "id": "", "node": node} for node in one.nodes]
        try:
            with open(partial, "wb") as file:
                file.write(b"".join(map(json_text.line, lines)))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            raise storage_error(self.path, error) from error
