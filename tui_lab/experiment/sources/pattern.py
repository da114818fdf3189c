"""`{pattern: ..., from: ...}`: a regular expression over an output or a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tui_lab.experiment.patterns.pattern import Pattern, PatternError, compile_pattern
from tui_lab.experiment.record import documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.yaml.reader import QUOTE, Keypath, Reader


class PatternSource(MetricSource):
    """The text that a pattern finds. In the file, `source` is written `from`."""

    kind: ClassVar[str] = "pattern"
    renamed: ClassVar[dict[str, str]] = {"source": "from"}
    schemas: ClassVar[Mapping[str, Schema]] = {"pattern": TEXT, "from": TEXT}

    pattern: str = documented(
        description="Regular expression with one group, searched in each line, "
        "or in the whole output if it contains `\\n`.",
        examples=["Loss: (@float@)"],
    )
    source: str = documented(
        default="stdout",
        description="Where to look: `stdout`, `stderr` or a file in `{output}`.",
        examples=["stderr"],
    )

    @classmethod
    def read_key(cls, r: Reader, path: Keypath, take: str) -> str | None:
        return read_value_pattern(r, path, take) if path[-1] == cls.kind else r.text(path)

    @property
    def file(self) -> str:
        return self.source

    @property
    def search(self) -> str:
        return self.pattern


def read_pattern(r: Reader, path: Keypath) -> Pattern | None:
    """Return the pattern at a path, or None after noting what is wrong."""
    text = r.text(path)
    if text is None:
        return None
    try:
        return compile_pattern(text)
    except PatternError as error:
        cut = r.document.cut_by_comment(r.node(path))
        hint = f'YAML reads " #" as a comment: {QUOTE}' if cut else error.hint
        r.add(path, f"in the pattern: {error.message}", hint, offset=error.offset)
        return None


def read_value_pattern(r: Reader, path: Keypath, take: str) -> str | None:
    """Return a pattern that finds one value: one group, or groups of which one is named `value`."""
    pattern = read_pattern(r, path)
    if pattern is None:
        return None
    if take != "count" and pattern.value == 0:
        hint = "put parentheses around the value, as in: loss (@float@)"
        if r.document.cut_by_comment(r.node(path)):
            hint = f'YAML reads " #" as a comment: {QUOTE}'
        r.add(path, "the pattern has no group for the value", hint)
        return None
    if pattern.value == -1 and take != "count" and "|" not in pattern.text:
        hint = "name the one that counts, (?P<value>...), or make the others (?:...)"
        r.add(path, f"the pattern has {pattern.regex.groups} groups, and one value", hint)
        return None
    return pattern.text
