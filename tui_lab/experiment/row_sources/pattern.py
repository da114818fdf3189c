"""`{pattern: ..., from: ...}`: a regular expression over an output or a file, of which each match is a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tui_lab.experiment.record import documented
from tui_lab.experiment.row_sources.source import TextRows
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.pattern import read_pattern
from tui_lab.experiment.yaml.reader import Keypath, Reader


class PatternRows(TextRows):
    """The matches of a pattern."""

    kind: ClassVar[str] = "pattern"
    schemas: ClassVar[Mapping[str, Schema]] = {"pattern": TEXT, **TextRows.schemas}

    pattern: str = documented(
        description="Regular expression with named groups: each match is a row.", examples=["(?P<epoch>@int@)"]
    )

    @classmethod
    def read_key(cls, r: Reader, path: Keypath) -> Any:
        if path[-1] != cls.kind:
            return r.text(path)
        pattern = read_pattern(r, path)
        if pattern is not None and not pattern.groups:
            hint = "each is a column, as in (?P<epoch>@int@)"
            r.add(path, "the pattern of rows needs named groups", hint)
        return pattern and pattern.text
