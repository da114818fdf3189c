"""Where an axis has its marks, and their texts."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tui_lab.results.charts.model import Axis
from tui_lab.results.statistics.text import apart, bare_exponent, short

_SECONDS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_DAY: Final = 86400
_LEAST: Final = 1e-306  # of a logarithmic axis
_MOST: Final = 1e306
_POWERS: Final = (1, 2, 3, 5, 10, 20, 50, 100, 200, 300, 1000)  # of ten, between two marks
_FACTORS: Final = ((1, 2, 2.5, 5, 10), (1, 2, 5, 10))


@dataclass(frozen=True)
class Scale:
    """From the values of an axis to places between 0 and 1."""

    low: float
    high: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; outside of 0 to 1 where it is outside of the axis."""
        if self.log:
            if value <= 0:
                return -math.inf
            low, high = math.log10(self.low), math.log10(self.high)
            return (math.log10(value) - low) / (high - low)
        span = self.high - self.low
        if not math.isfinite(span):  # ends near the largest float
            return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return (value - self.low) / span

    def many(self, values: Any) -> Any:
        """The places of an array of numbers."""
        import numpy as np

        with np.errstate(all="ignore"):
            if self.log:
                low, high = math.log10(self.low), math.log10(self.high)
                return np.where(values > 0, (np.log10(values) - low) / (high - low), -math.inf)
            span = self.high - self.low
            if not math.isfinite(span):
                return (values / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
            return (values - self.low) / span

    def value(self, part: float) -> float:
        """The value at a place."""
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return float(10 ** min(max(low + (high - low) * part, -307.0), 308.0))
        return self.low * (1 - part) + self.high * part


def scale(low: float, high: float, log: bool = False, room: float = 0.0) -> Scale:
    """A scale that holds low and high, with `room` (a part of its length) beyond them. A single value stands
    in the middle."""
    if log:
        a, b = (math.log10(min(max(end, _LEAST), _MOST)) for end in (low, high))
        margin = (b - a) * room if b > a else 0.5
        return Scale(10 ** max(a - margin, math.log10(_LEAST)), 10 ** min(b + margin, math.log10(_MOST) + 1), True)
    if low == high:
        margin = abs(low) * 0.1 or 0.5
    else:
        margin = (high - low) * room if math.isfinite((high - low) * (1 + 2 * room)) else 0.0
    return Scale(max(low - margin, -sys.float_info.max), min(high + margin, sys.float_info.max))


def ticks(axis: Axis, on: Scale, most: int) -> list[tuple[float, str]]:
    """Values and their texts, ascending; about `most` of them or fewer."""
    most = max(most, 2)
    if axis.kind == "category":
        return [(float(index), name) for index, name in enumerate(axis.categories)]
    if axis.kind == "time":
        return _times(on.low, on.high, most, False)
    if axis.kind == "clock":
        return _times(on.low, on.high, most, True)
    if axis.kind == "duration" and not on.log:
        return _durations(on.low, on.high, most)
    if on.log:
        return _decades(on, most)
    return _numbers(on.low, on.high, most, 1.0 if axis.whole else 0.0)


def _numbers(low: float, high: float, most: int, least: float = 0.0) -> list[tuple[float, str]]:
    """Multiples of a round step, which is `least` or more."""
    span = high - low
    if span > _MOST:
        smaller = _numbers(low / 1e10, high / 1e10, most)
        return [(v * 1e10, short(v * 1e10)) for v, _ in smaller if math.isfinite(v * 1e10)]
    if not span > 1e-300:
        return [(value, text) for value, text in zip((low, high), apart((low, high)), strict=True)]
    rough = max(span / most, least)
    exponent = math.floor(math.log10(rough))
    step = next(
        (factor * 10.0**exponent for factor in _FACTORS[least > 0] if factor * 10.0**exponent >= rough * 0.999),
        10.0 ** (exponent + 1),
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [index * step for index in range(first, min(last, first + 100) + 1)]
    return [(value, text) for value, text in zip(values, _texts(values, step), strict=True)]


def _texts(values: list[float], step: float) -> list[str]:
    """All with the decimals that tell them apart, or all with an exponent."""
    largest = max(map(abs, values), default=0.0)
    if largest >= 1e6 or (0 < largest < 1e-3):
        digits = max(0, math.floor(math.log10(largest) + 1e-9) - math.floor(math.log10(step) + 1e-9))
        for more in (0, 1, 2):
            texts = [f"{value:.{digits + more}e}" for value in values]
            if all(
                math.isclose(float(t), v, rel_tol=1e-9, abs_tol=step * 1e-6) for t, v in zip(texts, values, strict=True)
            ):
                break
        return [bare_exponent(text) for text in texts]
    for decimals in range(12):
        texts = [f"{value:z.{decimals}f}" for value in values]
        if all(abs(float(text) - value) < step * 1e-3 for text, value in zip(texts, values, strict=True)):
            break
    return ["0" if float(text) == 0 and decimals == 0 else text for text in texts]


def _decades(on: Scale, most: int) -> list[tuple[float, str]]:
    low, high = math.log10(on.low), math.log10(on.high)
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first >= 1:
        every = next(e for e in _POWERS if (last - first) / e < most)
        found = [10.0**e for e in range(-(-first // every) * every, last + 1, every) if -308 < e < 309]
        if (last - first + 1) * 3 <= most:
            found = [
                f * 10.0**e for e in range(first - 1, last + 1) for f in (1, 2, 5) if on.low <= f * 10.0**e <= on.high
            ]
        return [(value, short(value)) for value in found]
    found = [f * 10.0**e for e in range(first - 1, last + 1) for f in (1, 2, 3, 5) if on.low <= f * 10.0**e <= on.high]
    if len(found) >= 2:
        return [(value, short(value)) for value in found]
    return _numbers(on.low, on.high, most)


def texts(axis: Axis, values: Sequence[float]) -> list[str]:
    """Return the texts of values on an axis for sentences; numbers with enough digits to distinguish them."""
    if axis.kind == "category":
        return [axis.categories[int(v)] if 0 <= v < len(axis.categories) else short(v) for v in values]
    if axis.kind == "duration":
        return [duration(value) for value in values]
    if axis.kind not in ("time", "clock"):
        return apart(values)
    try:
        moments = [datetime.fromtimestamp(value, UTC) for value in values]
    except (OverflowError, ValueError, OSError):
        return apart(values)
    digits = 6 if any(moment.microsecond for moment in moments) else 0
    form = "%H:%M:%S" if axis.kind == "clock" else "%Y-%m-%d %H:%M:%S"
    return [moment.strftime(form + ".%f" * bool(digits)) for moment in moments]


def duration(seconds: float) -> str:
    """`1h30m`, `2d`, `0.25s`: the parts that are not 0."""
    if abs(seconds) < 60 or not math.isfinite(seconds) or abs(seconds) >= 1e12:
        return f"{short(seconds)}s"
    rest, parts = round(abs(seconds), 3), ""
    for unit, length in (("d", _DAY), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, length)
        parts += f"{int(count)}{unit}" if count else ""
    rest = round(rest, 3)
    return ("-" if seconds < 0 else "") + parts + (f"{short(rest)}s" if rest else "")


def unsaid(axis: Axis, on: Scale, most: int) -> str:
    """Return the part of the dates that all marks of an axis of times share, and leave out; else empty."""
    if axis.kind != "time":
        return ""
    found = _times(on.low, on.high, max(most, 2), False)
    if not found or found[0][1][:1].isdigit() is False:
        return ""
    try:
        first, last = (datetime.fromtimestamp(value, UTC) for value in (found[0][0], found[-1][0]))
    except (OverflowError, ValueError, OSError):
        return ""
    if ":" in found[0][1] and "-" not in found[0][1]:
        return f"{first:%Y-%m-%d}"
    if found[0][1].count("-") and not found[0][1].startswith(f"{first:%Y}"):
        return f"{first:%Y}" if first.year == last.year else f"{first:%Y} to {last:%Y}"
    return ""


def _durations(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Multiples of seconds, minutes, hours or days."""
    rough = (high - low) / most
    step = next((s for s in (*_SECONDS, *(d * _DAY for d in (1, 2, 5, 10, 20, 50, 100))) if s >= rough), 0)
    if rough < 1 or not step or not math.isfinite(high - low):
        return [(value, f"{text}s") for value, text in _numbers(low, high, most)]
    return [(float(i * step), duration(i * step)) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _times(low: float, high: float, most: int, clock: bool) -> list[tuple[float, str]]:
    """Round times; of a long span the first of months or years. clock: times of a day that has no date."""
    try:
        begin, end = datetime.fromtimestamp(low, UTC), datetime.fromtimestamp(high, UTC)
    except (OverflowError, ValueError, OSError):
        return _numbers(low, high, most)
    rough = (high - low) / most
    if rough < 1:
        values = [value for value, _ in _numbers(low, high, most)]
        moments = [datetime.fromtimestamp(value, UTC) for value in values]
        fine = any(moment.microsecond % 1000 for moment in moments)
        marks = [moment.strftime("%H:%M:%S.%f")[: None if fine else -3] for moment in moments]
        return [
            (value, text) for at, (value, text) in enumerate(zip(values, marks, strict=True)) if text not in marks[:at]
        ]
    if rough > 15 * _DAY and not clock:
        return _months(begin, end, most)
    step = next((s for s in _SECONDS if s >= rough), 0) or next(s * _DAY for s in (1, 2, 4, 7, 15) if s * _DAY >= rough)
    form = "%m-%d" if step >= _DAY else "%H:%M" if step >= 60 else "%H:%M:%S"
    if form == "%H:%M" and begin.date() != end.date() and not clock:
        form = "%m-%d %H:%M"
    first = math.ceil(low / step)
    values = [float(index * step) for index in range(first, math.floor(high / step) + 1)]
    return [(value, datetime.fromtimestamp(value, UTC).strftime(form)) for value in values]


def _months(begin: datetime, end: datetime, most: int) -> list[tuple[float, str]]:
    months = (end - begin) / timedelta(days=30.4) / most
    every = next((m for m in (1, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12000) if m >= months), 120_000)
    found = []
    month = begin.year * 12 + begin.month - 1
    month += -month % every
    while month // 12 <= 9999:
        at = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        if at > end:
            break
        if at >= begin:
            found.append((at.timestamp(), at.strftime("%Y" if every % 12 == 0 else "%Y-%m")))
        month += every
    return found
