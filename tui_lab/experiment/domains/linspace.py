"""`{linspace: [start, stop, n]}`."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Number, Value
from tui_lab.experiment.domains.reading import space
from tui_lab.experiment.domains.values import counted, exact, floats
from tui_lab.experiment.schema_parts import COUNT, NUMBER, Schema, list_of
from tui_lab.experiment.yaml.reader import Keypath, Reader


class Linspace(Domain):
    """`n` values with equal distances, `start` and `stop` included."""

    kind: ClassVar[str] = "linspace"
    example: ClassVar[str] = "[0, 1, 11]"
    schema: ClassVar[Schema] = list_of(NUMBER, NUMBER, COUNT)
    elsewhere: ClassVar[tuple[str, ...]] = ("linear",)
    start: Number
    stop: Number
    n: int

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        found = space(r, path)
        return None if found is None else cls(start=found[0], stop=found[1], n=found[2])

    @property
    def size(self) -> int:
        return self.n

    def listing(self) -> list[Value]:
        start, stop = exact(self.start), exact(self.stop)
        step = (stop - start) / (self.n - 1) if self.n > 1 else Fraction(0)
        whole = isinstance(self.start, int) and (isinstance(self.stop, int) or self.n == 1)
        if whole and step.denominator == 1:
            return counted(int(start), int(step), self.n)
        return floats(start, step, self.n)
