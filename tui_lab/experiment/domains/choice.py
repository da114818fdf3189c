"""`{choice: [x, y]}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.reading import values
from tui_lab.experiment.domains.values import same_numbers
from tui_lab.experiment.schema_parts import VALUES, Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader


class Choice(Domain):
    """One of the values, drawn evenly."""

    kind: ClassVar[str] = "choice"
    example: ClassVar[str] = "[adam, sgd]"
    schema: ClassVar[Schema] = VALUES
    elsewhere: ClassVar[tuple[str, ...]] = ("categorical",)
    drawn: ClassVar[bool] = True
    as_written: ClassVar[bool] = True
    values: tuple[Value, ...]

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        found = values(r, path)
        return None if found is None else cls(values=found)

    @property
    def size(self) -> int:
        return len(self.values)

    def listing(self) -> list[Value]:
        return same_numbers(self.values)

    def chosen(self, places: Sequence[int]) -> Domain:
        own = self.listing()
        return Choice(values=tuple(own[i] for i in places if i < len(own)))
