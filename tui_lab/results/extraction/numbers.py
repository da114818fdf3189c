"""Numbers and durations as programs print them: read whole, or not at all.

    numbers     `5`, `-.5`, `5.`, `1E-5`, `1.5d3` (Fortran), U+2212 as minus; NaN and infinities in the words of C,
                Python, R, Julia, JavaScript and Windows (`-nan(ind)`, `1.#INF`)
    thousands   in groups of three, only with the mark that the metric names: `1,234` is refused without
    durations   `62:03.5` (minutes), `1:02:03.5`, `1-02:03:04` (Slurm), `1 day, 2:03:04`, `1h05:32`, `PT1H2M3.5S`, and
                parts, each a whole number of a larger unit than the next: `1h 23m`, `2 min 30 s`, `1m23s456ms`

A text that is anything more than a number is none: its head is never taken. Nor is one that no float holds: `1e400` is
no infinity, and `1e-400` is not 0.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

TIMES: Final = {
    name: Fraction(seconds)
    for names, seconds in (
        ("ns nsec nsecs nanosecond nanoseconds", "1e-9"),
        ("us \u00b5s \u03bcs usec usecs microsecond microseconds", "1e-6"),
        ("ms msec msecs millisecond milliseconds", "1e-3"),
        ("s sec secs second seconds", "1"),
        ("m min mins minute minutes", "60"),
        ("h hr hrs hour hours", "3600"),
        ("d day days", "86400"),
        ("w week weeks", "604800"),
    )
    for name in names.split()
}
MINUS: Final = "\u2212"
SPACES: Final = " \u00a0\u2007\u2009\u202f"
"""Spaces that stand between thousands where a metric says `thousands: " "`."""
_LARGEST: Final = 4300
"""Digits of the longest integer that is read: Python reads no longer ones from text."""

_NAN: Final = re.compile(r"[-+]?(?:[qs]?nan(?:\([^()]*\)|[qs])?|1\.#(?:[qs]nan|ind)0*)", re.IGNORECASE)
_INFINITY: Final = re.compile(r"([-+]?)(?:inf(?:inity)?|\u221e|1\.#inf0*)", re.IGNORECASE)
_EXPONENT: Final = r"(?P<exponent>(?:[eE][-+]?|[dD][-+]?)[0-9]+)?"


@dataclass(frozen=True)
class Notation:
    """How a program writes numbers: the mark before decimals, and the one between thousands (or none)."""

    decimal: str = "."
    thousands: str = ""


USUAL: Final = Notation()


@lru_cache(maxsize=64)
def _numeral(notation: Notation) -> re.Pattern[str]:
    mark = f"[{SPACES}]" if notation.thousands == " " else "['\u2019]" if notation.thousands == "'" else None
    mark = mark or re.escape(notation.thousands)
    digits = rf"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+" if mark else "[0-9]+"
    point = re.escape(notation.decimal)
    return re.compile(
        rf"(?P<sign>[-+]?)(?:(?P<whole>{digits})(?P<point>{point}(?P<part>[0-9]*))?|{point}(?P<only>[0-9]+)){_EXPONENT}"
    )


def number(text: str, notation: Notation = USUAL) -> int | float | None:
    """The number that a text is, an integer where it is written as one; None where it is no number."""
    text = text.strip().replace(MINUS, "-")
    match = _numeral(notation).fullmatch(text)
    if match is None:
        return _not_finite(text)
    plain = _plain(match)
    whole = match["point"] is None and match["only"] is None and match["exponent"] is None
    return int(plain) if whole and len(plain) <= _LARGEST else _held(plain)


def to_float(text: str, notation: Notation = USUAL) -> float | None:
    """The number that a text is, as a float; None where it is no number, or none that a float holds."""
    if notation is USUAL and text.isascii() and "_" not in text:
        try:
            found = float(text)
        except ValueError:
            pass
        else:
            if found and math.isfinite(found):
                return found
    exact = number(text, notation)
    return int_to_float(exact) if isinstance(exact, int) else exact


def int_to_float(integer: int) -> float | None:
    """The nearest float; None beyond the largest."""
    found = as_float(integer)
    return found if math.isfinite(found) else None


class Unrepresentable(str):
    """A number of JSON that no float holds, as it is written."""


def is_unrepresentable(text: str) -> bool:
    """Whether a text is a number that no float holds."""
    return number(text) is None and _numeral(USUAL).fullmatch(text.strip().replace(MINUS, "-")) is not None


def _held(plain: str) -> float | None:
    """The float that a finite number is; None where it is too large for one, or so small that it would be 0."""
    found = float(plain)
    lost = math.isinf(found) or (found == 0 and re.search("[1-9]", plain.partition("e")[0]))
    return None if lost else found


def to_int(text: str, notation: Notation = USUAL) -> int | None:
    """The integer that a text is, of any size, also where it is written as `3.0` or `1e6`; None for anything else."""
    found = number(text, notation)
    if isinstance(found, float):
        return int(found) if found.is_integer() else None
    return found


def digits_to_int(text: str, notation: Notation = USUAL) -> int | None:
    """The integer that a text of digits (with a sign, and thousands) is; None for anything else, as `1e6` and `3.0`."""
    found = number(text, notation)
    return found if isinstance(found, int) else None


def as_usual(text: str, notation: Notation) -> str:
    """A number written in `notation` in the usual one; any other text as it is."""
    found = None if notation is USUAL else number(text, notation)
    return text if found is None else repr(found)


def as_float(integer: int) -> float:
    """The nearest float, an infinity beyond the largest."""
    try:
        return float(integer)
    except OverflowError:
        return math.inf if integer > 0 else -math.inf


def split(text: str, notation: Notation = USUAL) -> tuple[Fraction | float, str] | None:
    """The number at the beginning of a text, and what is behind it: a unit, which holds no digit. A float where it is
    not finite, or huge. None where there is no number, where it goes on, or where no float holds it."""
    text = text.strip().replace(MINUS, "-")
    match = _numeral(notation).match(text)
    if match is None:
        special = _SPECIAL.match(text)
        found = None if special is None else _not_finite(special[0])
        return None if special is None or found is None else (found, text[special.end() :].strip())
    rest = _RECIPROCAL.sub(r"\1", text[match.end() :])
    if (error := _ERROR.match(rest)) and _numeral(notation).fullmatch(error["error"] or "0"):
        rest = rest[error.end() :]
    power = _POWER.search(rest)
    if (
        _GOES_ON.match(rest)
        or any(c.isdecimal() for c in (rest[: power.start()] if power else rest))
        or _hexadecimal(match, rest)
    ):
        found = _not_finite(text)
        return None if found is None else (found, "")
    plain = _plain(match)
    if match["exponent"] is not None:
        # As a fraction a huge exponent would be a number of that many digits.
        held = _held(plain)
        if held is None or abs(held) > 1e300:
            return None if held is None else (held, rest.strip())
        plain = repr(held)
    if len(plain) <= _LARGEST:
        return Fraction(plain), rest.strip()
    held = _held(plain)
    return None if held is None else (held, rest.strip())


_SPECIAL: Final = re.compile(r"[-+]?(?:inf(?:inity)?|\u221e|[qs]?nan(?:\([^()]*\))?)(?![A-Za-z0-9_])", re.IGNORECASE)
_GOES_ON: Final = re.compile("[.,:'\u2019_^\u00d7*+#\u00b2\u00b3\u00b9\u2070-\u207b-]|[eE][-+]?$")


def _hexadecimal(match: re.Match[str], rest: str) -> bool:
    """Whether digits are part of a number to the base 16, such as 0x1F or 12abc."""
    return bool(_HEX.fullmatch(rest)) or (match["whole"] == "0" and bool(re.match("[xX][0-9A-Fa-f]", rest)))


_RECIPROCAL: Final = re.compile(r"\A( *[\[(]) *1 *(?=/)")
"""A unit such as `[1/s]`, whose digit is none of the number."""
_ERROR: Final = re.compile(
    r"(?: ?(?:\u00b1|\+/-|\+-) ?(?P<error>[0-9.,eEdD'+-]*[0-9])|\([0-9]{1,3}\))(?= ?[^\W\d_]| ?%)"
)
"""The error of a value, which stands between it and its unit: `12.5±0.3 ms`, `12.5(3) ms`."""
_POWER: Final = re.compile(r"(?<=[^\W\d_])\^?-?[0-9]\Z")
"""Of what a unit is per: `W/m2`."""
_HEX: Final = re.compile("[a-f]{2,}|[A-F]{2,}")


def _plain(match: re.Match[str]) -> str:
    """A number as Python writes it."""
    whole = re.sub("[^0-9]", "", match["whole"] or "0")
    part = match["part"] or match["only"]
    exponent = (match["exponent"] or "").lower().replace("d", "e")
    return f"{match['sign']}{whole}{'.' + part if part else ''}{exponent}"


def _not_finite(text: str) -> float | None:
    if _NAN.fullmatch(text):
        return math.nan
    match = _INFINITY.fullmatch(text)
    return None if match is None else -math.inf if match[1] == "-" else math.inf


# --- Durations

_TAIL: Final = r"(?P<minutes>[0-9]+):(?P<seconds>[0-9]{2}(?:POINT[0-9]*)?)"
_CLOCK: Final = rf"(?:(?P<hours>[0-9]+):)?{_TAIL}"
_NAMES: Final = "|".join(sorted(TIMES, key=len, reverse=True))
_PART: Final = rf"(?P<number>[0-9]+(?:POINT[0-9]+)?) ?(?P<unit>{_NAMES})(?![^\W\d_])(?P<rest>,? {{1,2}}(?:and )?|)"


@dataclass(frozen=True)
class _Forms:
    clock: re.Pattern[str]
    days: re.Pattern[str]
    hours: re.Pattern[str]
    part: re.Pattern[str]


@lru_cache(maxsize=8)
def _forms(point: str) -> _Forms:
    def form(expression: str) -> re.Pattern[str]:
        return re.compile(expression.replace("POINT", re.escape(point)))

    return _Forms(
        form(rf"(?:(?P<days>[0-9]+)-)?{_CLOCK}"),
        form(rf"(?P<days>-?[0-9]+) ?d(?:ays?)?,? +{_CLOCK}"),
        form(rf"(?:(?P<days>[0-9]+)d)?(?P<hours>[0-9]+)h{_TAIL}"),
        form(_PART),
    )


_ISO_PART: Final = r"(?:(?P<{0}>[0-9]+(?:[.,][0-9]+)?){1})?"
_ISO: Final = re.compile(
    "P(?=[0-9T])"
    + _ISO_PART.format("weeks", "W")
    + _ISO_PART.format("days", "D")
    + "(?:T(?=[0-9])"
    + "".join(_ISO_PART.format(name, name[0].upper()) for name in ("hours", "minutes", "seconds"))
    + ")?"
)
_SECONDS: Final = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def duration(text: str, notation: Notation = USUAL) -> Fraction | None:
    """Seconds of a text that is a duration in several parts; None for anything else, as a number with one unit."""
    text = text.strip().replace(MINUS, "-")
    forms = _forms(notation.decimal)
    if match := forms.days.fullmatch(text):
        # As Python writes it, where the days alone are negative: -1 day, 23:59:59.
        return _clock(match, notation)
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    for form in (forms.clock, forms.hours):
        if match := form.fullmatch(text):
            found = _clock(match, notation)
            return None if found is None else sign * found
    if match := _ISO.fullmatch(text):
        parts = [(_SECONDS[name], part) for name, part in match.groupdict().items() if part]
        return sign * sum((Fraction(part.replace(",", ".")) * scale for scale, part in parts), Fraction(0))
    found = _parts(text, forms.part, notation)
    return None if found is None else sign * found


def _clock(match: re.Match[str], notation: Notation) -> Fraction | None:
    parts = {name: Fraction((part or "0").replace(notation.decimal, ".")) for name, part in match.groupdict().items()}
    if match["hours"] is None and match.groupdict().get("days"):
        # Behind days a clock of two parts has hours and minutes; decimals would say otherwise.
        if parts["seconds"].denominator != 1:
            return None
        parts = {"days": parts["days"], "hours": parts["minutes"], "minutes": parts["seconds"]}
    for name, limit in (("hours", 24), ("minutes", 60), ("seconds", 60)):
        larger = [part for other, part in match.groupdict().items() if other in _larger(name)]
        if parts.get(name, 0) >= limit and any(larger):
            return None
    return sum((parts.get(name, Fraction(0)) * scale for name, scale in _SECONDS.items()), Fraction(0))


def _larger(name: str) -> tuple[str, ...]:
    names = tuple(_SECONDS)
    return names[: names.index(name)]


def _parts(text: str, form: re.Pattern[str], notation: Notation) -> Fraction | None:
    at, count, total, last = 0, 0, Fraction(0), Fraction(10**12)
    while at < len(text):
        match = form.match(text, at)
        if match is None:
            return None
        at, count = match.end(), count + 1
        scale, digits = TIMES[match["unit"]], match["number"]
        whole = notation.decimal not in digits
        if scale >= last or not (whole or at == len(text)) or (match["rest"] and at == len(text)):
            return None
        total, last = total + Fraction(digits.replace(notation.decimal, ".")) * scale, scale
    return total if count > 1 else None
