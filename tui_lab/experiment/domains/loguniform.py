"""`{loguniform: [a, b]}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Number, Value
from tui_lab.experiment.domains.reading import bounds
from tui_lab.experiment.domains.values import as_floats, exact
from tui_lab.experiment.schema_parts import NUMBER, Schema, list_of
from tui_lab.experiment.yaml.reader import Keypath, Reader

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

    from tui_lab.experiment.domains.draws import Words


class LogUniform(Domain):
    """A float from `a` to `b`, both above 0, whose logarithm is drawn evenly."""

    kind: ClassVar[str] = "loguniform"
    example: ClassVar[str] = "[0.0001, 0.1]"
    schema: ClassVar[Schema] = list_of(NUMBER, NUMBER)
    elsewhere: ClassVar[tuple[str, ...]] = ("log_uniform",)
    drawn: ClassVar[bool] = True
    listed: ClassVar[bool] = False
    a: Number
    b: Number

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        found = bounds(r, path)
        if found is not None and found[0] <= 0:
            r.add((*path, 0), f'the numbers of "{cls.kind}" must be above 0')
            return None
        return None if found is None else cls(a=found[0], b=found[1])

    @property
    def is_geometric(self) -> bool:
        return True

    @property
    def size(self) -> None:
        return None

    @property
    def dtype(self) -> pl.DataType:
        import polars as pl

        return pl.Float64()

    def draw(self, bits: Words) -> npt.NDArray[Any]:
        import numpy as np

        from tui_lab.experiment.domains.draws import exp, fractions, ln

        low, high = float(self.a), float(self.b)
        found = low * exp(fractions(bits) * ln(exact(self.b) / exact(self.a)))
        return np.clip(found, min(low, high), max(low, high)) + 0.0

    def like(self, given: Sequence[Value]) -> list[Value]:
        return as_floats(given)
