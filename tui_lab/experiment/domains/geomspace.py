"""`{geomspace: [start, stop, n]}`."""

from __future__ import annotations

import decimal
from typing import ClassVar, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Number, Value
from tui_lab.experiment.domains.reading import space
from tui_lab.experiment.domains.values import bound, exact
from tui_lab.experiment.schema_parts import COUNT, NUMBER, Schema, list_of
from tui_lab.experiment.yaml.reader import Keypath, Reader


class Geomspace(Domain):
    """`n` values with equal ratios, `start` and `stop` included; both have the same sign and neither is 0."""

    kind: ClassVar[str] = "geomspace"
    example: ClassVar[str] = "[0.001, 1, 4]"
    schema: ClassVar[Schema] = list_of(NUMBER, NUMBER, COUNT)
    elsewhere: ClassVar[tuple[str, ...]] = ("logspace", "log", "geometric")
    start: Number
    stop: Number
    n: int

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        found = space(r, path)
        if found is None:
            return None
        start, stop, n = found
        if start == 0 or stop == 0 or (start < 0) != (stop < 0):
            r.add(path, f'"{cls.kind}" can\'t reach or cross 0', "start and stop have the same sign")
            return None
        return cls(start=start, stop=stop, n=n)

    @classmethod
    def of_call(cls, function: str, arguments: str) -> str | None:
        if function != "logspace":
            return super().of_call(function, arguments)
        try:  # NumPy's takes exponents of 10
            low, high, *count = (float(argument) for argument in arguments.split(","))
            return f"{10**low:g}, {10**high:g}, {int(count[0]) if count else 50}"
        except (ValueError, OverflowError):
            return "start, stop, n"

    @property
    def is_geometric(self) -> bool:
        return True

    @property
    def size(self) -> int:
        return self.n

    def listing(self) -> list[Value]:
        """Fifty digits, of which a float keeps seventeen; integers where both ends and all between are."""
        bound(self.n)
        start, stop = exact(self.start), exact(self.stop)
        if not start or not stop or (start < 0) != (stop < 0):
            raise ValueError("the ends of a geomspace must have the same sign, and neither may be 0")
        sign = -1 if start < 0 else 1
        with decimal.localcontext() as context:
            context.prec = 50
            low, high = (decimal.Decimal(abs(x).numerator) / abs(x).denominator for x in (start, stop))
            steps = max(1, self.n - 1)
            ratio = (high / low).ln() / steps
            between = [low * (ratio * i).exp() for i in range(self.n)]
            if self.n > 1:
                between[-1] = high
            near = [number.to_integral_value() for number in between]
            given = (self.start, self.stop)[: max(1, min(2, self.n))]
            whole = all(isinstance(number, int) for number in given) and all(
                abs(number - integer) <= integer * decimal.Decimal("1e-40")
                for number, integer in zip(between, near, strict=True)
            )
        return [sign * (int(i) if whole else float(x)) for x, i in zip(between, near, strict=True)]
