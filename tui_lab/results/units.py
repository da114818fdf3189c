"""Quantities as programs print them, and what they are in another unit.

    prefixes    k (or K) M G T P E are powers of 1000, Ki Mi Gi Ti Pi Ei powers of 1024
    data        B is a byte, b or bit a bit; bps and Bps are per second; MB is 10^6 bytes, MiB 2^20
    time        ns us ms s m (or min) h d, and their longer names; `1m23.4s` and `1:02:03.5` are times, too
    rates       any of them per time: MiB/s, req/min, s/it
    percent     `95%`; as the unit `1` it is 0.95
    others      a name of its own, with a prefix if it is one of OTHERS: 3.1 GHz, 18 kIOPS, 2 GFLOP/s

Without a unit to convert to, the value is in the unit without its prefix: bytes, bits, seconds, per second;
percent stays percent. A number without a unit is taken to be in the wanted unit already; one with a bare
prefix (`18.6k`) in the wanted unit without its prefix. Units of different kinds do not convert: the value is
null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

PREFIXES: Final = {
    **{letter: 1000 ** (power + 1) for power, letter in enumerate("kMGTPE")},
    "K": 1000,
    **{f"{letter}i": 1024 ** (power + 1) for power, letter in enumerate("KMGTPE")},
    "ki": 1024,
}
TIMES: Final = {
    name: Fraction(seconds)
    for names, seconds in (
        ("ns nsec nsecs nanosecond nanoseconds", "1e-9"),
        ("us µs μs usec usecs microsecond microseconds", "1e-6"),
        ("ms msec msecs millisecond milliseconds", "1e-3"),
        ("s sec secs second seconds", "1"),
        ("m min mins minute minutes", "60"),
        ("h hr hrs hour hours", "3600"),
        ("d day days", "86400"),
    )
    for name in names.split()
}
BYTES: Final = ("B", "byte", "bytes", "Byte", "Bytes")
BITS: Final = ("b", "bit", "bits", "Bit", "Bits")
SYMBOLS: Final = frozenset(("Hz", "W", "Wh", "J", "V", "A", "eV", "g", "Pa", "N"))
_OTHERS: Final = """
    iops op ops flop flops it iter iters iterations req reqs requests tok tokens event events cycle cycles
    row rows line lines packet packets transactions samples
"""
OTHERS: Final = SYMBOLS | frozenset(_OTHERS.split())

_NUMBER: Final = re.compile(
    r"\s*([-+]?(?:[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*(.*?)\s*", re.DOTALL
)
_CLOCK: Final = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]+(?:\.[0-9]+)?)")
_PARTS: Final = re.compile(r"(?:([0-9]+)d ?)?(?:([0-9]+)h ?)?(?:([0-9]+)m ?)?([0-9]+(?:\.[0-9]+)?)s")


@dataclass(frozen=True)
class Unit:
    """`factor` base units of the same `kind`; `prefix` is the part of the factor that a prefix makes.

    The empty kind is a bare number or prefix.
    """

    kind: str
    factor: Fraction
    prefix: Fraction


def quantity(text: str, unit: str | None = None, wanted: str | None = None) -> float | None:
    """The number in `text`, in the wanted unit. Its own unit is the rest of `text`, or `unit` if it stands
    apart.

    None where there is no number, or where the units are of different kinds.
    """
    seconds = None if unit else _duration(text.strip())
    if seconds is not None:
        return _converted(seconds, _parse("s"), _parse(wanted or ""), bool(wanted))
    match = _NUMBER.fullmatch(text)
    if match is None:
        return _special(text)
    digits = match[1].replace(",", "")
    if "e" in digits.lower():
        # As a fraction a huge exponent would be a number of that many digits.
        if abs(float(digits)) > 1e300:
            return float(digits)
        digits = repr(float(digits))
    rest = unit.strip() if unit else match[2]
    return _converted(Fraction(digits), _parse(rest), _parse(wanted or ""), bool(wanted))


def _duration(text: str) -> Fraction | None:
    """Seconds of `1:02:03.5`, `62:03.5` or `1h2m3.5s`."""
    for expression, scales in ((_CLOCK, (3600, 60, 1)), (_PARTS, (86400, 3600, 60, 1))):
        if match := expression.fullmatch(text):
            parts = zip(match.groups(), scales, strict=True)
            return sum((Fraction(part) * scale for part, scale in parts if part), Fraction(0))
    return None


def _special(text: str) -> float | None:
    try:
        return float(text)  # nan and inf have no unit
    except ValueError:
        return None


def _converted(number: Fraction, unit: Unit, wanted: Unit, convert: bool) -> float | None:
    try:
        if not convert:
            return float(number * unit.prefix)
        if not unit.kind:
            return float(number if unit.factor == 1 else number * unit.factor / wanted.prefix)
        if unit.kind == wanted.kind:
            return float(number * unit.factor / wanted.factor)
        if not wanted.kind and unit.kind == "%":
            return float(number / 100 / wanted.factor)
        if not wanted.kind and wanted.factor != 1:
            return float(number * unit.prefix / wanted.factor)
    except OverflowError:
        pass
    return None


@lru_cache(maxsize=1024)
def _parse(text: str) -> Unit:
    numerator, slash, denominator = text.partition("/")
    numerator, denominator = numerator.strip(), denominator.strip()
    if not slash and len(numerator) > 2 and numerator.endswith("ps"):
        inner = _simple(numerator[:-2])
        if inner.kind == "byte":
            return Unit("byte/time", inner.factor, inner.prefix)
    if not slash and numerator.endswith("FLOPS"):
        numerator, slash, denominator = numerator[:-1], "/", "s"
    unit = _simple(numerator)
    if not slash:
        return unit
    if denominator in TIMES:
        # The base of a rate is per second, whichever time it was measured over.
        per = TIMES[denominator]
        return Unit(f"{unit.kind}/time", unit.factor / per, unit.prefix / per)
    return Unit(f"{unit.kind}/{denominator.lower().rstrip('s')}", unit.factor, unit.prefix)


def _simple(text: str) -> Unit:
    one = Fraction(1)
    if text in ("", "1"):
        return Unit("", one, one)
    if text == "%":
        return Unit("%", one, one)
    if text in TIMES:
        return Unit("time", TIMES[text], TIMES[text])
    if text in PREFIXES:
        return Unit("", Fraction(PREFIXES[text]), Fraction(PREFIXES[text]))
    for prefix in ("", text[:2], text[:1]):
        rest = text[len(prefix) :]
        scale = Fraction(PREFIXES.get(prefix, 0 if prefix else 1))
        if not scale:
            continue
        if rest in BYTES:
            return Unit("byte", scale, scale)
        if rest in BITS:
            return Unit("byte", scale / 8, scale)
        if rest in OTHERS or (rest.lower() in OTHERS and len(rest) > 2):
            return Unit(_singular(rest), scale, scale)
    return Unit(_singular(text), one, one)


def _singular(word: str) -> str:
    if word in SYMBOLS:
        return word
    lower = word.lower()
    return lower[:-1] if lower.endswith("s") and lower != "iops" else lower
