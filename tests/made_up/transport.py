"""A transport that another package could bring: a node that is this machine, and is called otherwise.

`{pretend: {folder: DIR}}` in a cluster file; the agent's files lie in the folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from tui_lab.engine.transports.channel import Transport
from tui_lab.engine.transports.local import LocalTransport
from tui_lab.experiment.cluster.transports import NodeKey
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.store.lab import Lab


class Pretend(NodeKey):
    """This machine under another name; `folder` takes the agent's files."""

    kind: ClassVar[str] = "pretend"
    example: ClassVar[str] = "{folder: /tmp/pretend}"
    schema: ClassVar[Schema] = {"type": "object", "properties": {"folder": TEXT}, "required": ["folder"]}
    folder: str

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        if not r.is_mapping(path, "a mapping with folder"):
            return None
        fields = r.fields(path, ("folder",), "pretend")
        folder = r.text((*path, "folder")) if "folder" in fields else None
        if folder is None:
            r.add(path, 'there is no "folder"')
            return None
        return cls(folder=folder)


def make(entry: Mapping[str, Any], lab: Lab, environment: Mapping[str, str]) -> Transport:
    return LocalTransport(Path(entry["pretend"]["folder"]) / lab.identity, entry.get("python") or sys.executable)
