"""`{run: ..., pattern: ...}`: a command, in whose output a pattern is searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tui_lab.experiment.record import Fields, documented, plain
from tui_lab.experiment.schema_parts import ANY_TEXT, QUANTITY, TEXT, Schema
from tui_lab.experiment.sources.pattern import PatternSource, read_value_pattern
from tui_lab.experiment.sources.source import TIMEOUT, MetricSource
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.reader import Keypath, Reader


class RunSource(MetricSource):
    """What a pattern finds in the output of a command."""

    kind: ClassVar[str] = "run"
    schemas: ClassVar[Mapping[str, Schema]] = {"run": ANY_TEXT, PatternSource.kind: TEXT, "timeout": QUANTITY}

    names: ClassVar[frozenset[str]] = frozenset(("folder",))

    run: str = documented(
        description="Command whose output the pattern is searched in. It runs once for all metrics that share it; "
        "`{folder}` is the task's folder.",
        examples=["h5dump -d loss out.h5"],
    )
    pattern: str
    timeout: float | None = documented(default=None, texts=TIMEOUT)

    @classmethod
    def read_key(cls, r: Reader, path: Keypath, take: str) -> str | float | None:
        if path[-1] == "timeout":
            return read_time(r, path)
        return read_value_pattern(r, path, take) if path[-1] == PatternSource.kind else r.text(path)

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if PatternSource.kind not in found:
            message = f'{owner} needs "{PatternSource.kind}", to find its value in the output of the command'
            r.add((*path, cls.kind), message, at_key=True)

    def definition(self) -> Fields:
        return plain(self, leave_out=() if self.timeout else ("timeout",))

    @property
    def search(self) -> str:
        return self.pattern

    @property
    def command(self) -> str:
        return self.run
