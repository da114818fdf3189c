"""`{range: [start, stop, step]}`."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import ClassVar, Final, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Number, Value
from tui_lab.experiment.domains.reading import not_too_large, numbers
from tui_lab.experiment.domains.values import counted, exact, floats
from tui_lab.experiment.schema_parts import NUMBER, Schema, list_of
from tui_lab.experiment.yaml.reader import Keypath, Reader

# What a shell makes several words of: `{1..9..2}`.
_SPAN: Final = re.compile(r"(\{)?(-?\d{1,18})\.\.(-?\d{1,18})(?:\.\.(-?\d{1,18}))?(?(1)\})")


class Range(Domain):
    """Like Python's range: from `start` by `step`, `stop` excluded; decimals are meant exactly."""

    kind: ClassVar[str] = "range"
    example: ClassVar[str] = "[1, 51, 2]"
    schema: ClassVar[Schema] = list_of(NUMBER, NUMBER, NUMBER, least=2)
    elsewhere: ClassVar[tuple[str, ...]] = ("arange",)
    start: Number
    stop: Number
    step: Number = 1

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        found = numbers(r, path, "[start, stop] or [start, stop, step]", 2, 3)
        if found is None:
            return None
        if len(found) == 3 and found[2] == 0:
            r.add((*path, 2), "the step of a range can't be 0")
            return None
        domain = cls(start=found[0], stop=found[1], step=found[2] if len(found) == 3 else 1)
        if domain.size == 0:
            r.add(path, "this range is empty", "it goes from start by step, without stop")
            return None
        return domain if not_too_large(r, path, domain.size) else None

    @classmethod
    def written_in(cls, text: str) -> str | None:
        if span := _SPAN.fullmatch(text):
            first, last = int(span[2]), int(span[3])
            step = (abs(int(span[4] or 1)) or 1) * (1 if last >= first else -1)
            return f"{first}, {last + (1 if step > 0 else -1)}" + (f", {step}" if step != 1 else "")
        return super().written_in(text)

    @classmethod
    def of_call(cls, function: str, arguments: str) -> str | None:
        if function not in (cls.kind, "arange"):
            return None
        return arguments.strip() if "," in arguments else f"0, {arguments}"

    @property
    def size(self) -> int:
        start, stop, step = (Fraction(str(x)) for x in (self.start, self.stop, self.step))
        return max(0, math.ceil((stop - start) / step))

    def listing(self) -> list[Value]:
        start, stop, step = exact(self.start), exact(self.stop), exact(self.step)
        if not step:
            raise ValueError("the step of a range must not be 0")
        count = max(0, math.ceil((stop - start) / step))
        if all(isinstance(number, int) for number in (self.start, self.stop, self.step)):
            return counted(int(start), int(step), count)
        return floats(start, step, count)
