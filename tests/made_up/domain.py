"""A domain that another package could bring: `{primes: n}`, the first n prime numbers."""

from __future__ import annotations

from itertools import count, islice
from typing import ClassVar, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.reading import MAX_SIZE
from tui_lab.experiment.schema_parts import COUNT, Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader


class Primes(Domain):
    """The first `n` prime numbers."""

    kind: ClassVar[str] = "primes"
    example: ClassVar[str] = "5"
    schema: ClassVar[Schema] = COUNT
    n: int

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        n = r.whole(path, 1, MAX_SIZE)
        return None if n is None else cls(n=n)

    @property
    def size(self) -> int:
        return self.n

    def listing(self) -> list[Value]:
        numbers = (number for number in count(2) if all(number % i for i in range(2, int(number**0.5) + 1)))
        return list(islice(numbers, self.n))
