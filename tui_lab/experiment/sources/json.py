"""`{json: ..., path: ...}`: a place in the JSON of a file or output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.yaml.reader import Keypath, Reader


class JsonSource(MetricSource):
    """A value in JSON. In the file, `json_file` is written `json`."""

    kind: ClassVar[str] = "json"
    renamed: ClassVar[dict[str, str]] = {"json_file": "json"}
    schemas: ClassVar[Mapping[str, Schema]] = {"json": TEXT, "path": {"type": "string", "pattern": "^\\$"}}
    column_type: ClassVar[Literal["json", "cells"]] = "json"

    json_file: str = documented(
        description="Read a JSON file in `{output}`, or JSON on `stdout`.",
        examples=["result.json"],
    )
    path: str = documented(
        description="Place in the JSON; `$` is all of it. Needed with `json`.",
        examples=["$.test.acc"],
    )

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if "path" not in found:
            hint = 'write path: $.a.b, or "$" for all of it'
            r.add((*path, cls.kind), f'{owner} needs "path", the place in the JSON', hint, at_key=True)
        elif found["path"] and not found["path"].startswith("$"):
            r.add((*path, "path"), 'a path begins with "$"', f'write "$.{found["path"].lstrip(".")}"')

    @property
    def file(self) -> str:
        return self.json_file
