"""`{randint: [a, b]}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.reading import bounds
from tui_lab.experiment.domains.values import counted, same_numbers
from tui_lab.experiment.schema_parts import WHOLE, Schema, list_of
from tui_lab.experiment.yaml.reader import Keypath, Reader

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from tui_lab.experiment.domains.draws import Words
_SMALLEST: Final = -(1 << 63)
_LARGEST: Final = (1 << 63) - 1


class RandInt(Domain):
    """An integer drawn evenly from `a` to `b`, both included."""

    kind: ClassVar[str] = "randint"
    example: ClassVar[str] = "[1, 6]"
    schema: ClassVar[Schema] = list_of(WHOLE, WHOLE)
    elsewhere: ClassVar[tuple[str, ...]] = ("integers", "int")
    drawn: ClassVar[bool] = True
    listed: ClassVar[bool] = False
    a: int
    b: int

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        if bounds(r, path, equal=True) is None:
            return None
        a, b = r.whole((*path, 0), most=None), r.whole((*path, 1), most=None)
        return None if a is None or b is None else cls(a=a, b=b)

    @property
    def size(self) -> int:
        return max(0, self.b - self.a + 1)

    def listing(self) -> list[Value]:
        return counted(self.a, 1, self.b - self.a + 1)

    @property
    def dtype(self) -> pl.DataType | None:
        import polars as pl

        return pl.Int64() if self.a >= _SMALLEST and self.b <= _LARGEST else None

    def draw(self, bits: Words) -> npt.NDArray[Any]:
        import numpy as np

        whole = self.size == 1 << 64
        return self.at((bits if whole else bits % np.uint64(self.size)).astype(np.int64))

    def at(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return places + self.a

    def like(self, given: Sequence[Value]) -> list[Value]:
        return same_numbers(given)
