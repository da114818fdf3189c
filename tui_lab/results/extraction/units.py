"""Quantities as programs print them, and what they are in another unit.

    prefixes    k (or K) M G T P E are powers of 1000, Ki Mi Gi Ti Pi Ei powers of 1024; m u n before the symbols of SI
    data        B is a byte, b or bit a bit; bps and Bps are per second; MB is 10^6 bytes, MiB 2^20
    time        ns us ms s m (or min) h d w, and their longer names; durations in parts, see `numbers`
    rates       any of them per time: MiB/s, req/min, `images per second`; `GFLOPS` is GFLOP/s
    percent     `95%`; as the unit `1` it is 0.95
    others      any name. Before those in BASES, and before what ends in `ps` (pps, tps, LUPS), a prefix is one;
                before any other where the wanted unit, or another value, has the rest: `950 Melem/s` in `elem/s`

    brackets    `812.44 [Kbytes/sec]`, `12.5 (ms)`: what stands in them is the unit where it is one of those above

Without a unit to convert to, the value is in the unit without its prefix: bytes, bits, seconds, per second;
percent stays percent, and so does what is of one kind per the same kind, as `ns/day`. A number without a unit is taken
to be in the wanted unit already; one with a bare prefix (`18.6k`, `47M/s`) in the wanted unit without its prefix, where
it is a power of 1024 if the wanted unit's prefix is one (`2097152K` in GiB is 2). A rate and its reciprocal (`s/it`,
`it/s`) are each other's inverse. Otherwise units of different kinds do not convert: the value is null.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Final

from tui_lab.results.extraction.numbers import TIMES, USUAL, Notation, duration, split

PREFIXES: Final = {
    **{letter: 1000 ** (power + 1) for power, letter in enumerate("kMGTPE")},
    "K": 1000,
    **{f"{letter}i": 1024 ** (power + 1) for power, letter in enumerate("KMGTPE")},
    "ki": 1024,
}
SMALL: Final = {
    name: Fraction(1, 1000**power) for power, names in enumerate(("m", "u\u00b5\u03bc", "n", "p"), 1) for name in names
}
"""Prefixes of SYMBOLS alone: before a word they are letters."""
BYTES: Final = ("B", "byte", "bytes", "Byte", "Bytes")
BITS: Final = ("b", "bit", "bits", "Bit", "Bits")
SYMBOLS: Final = frozenset(("Hz", "W", "Wh", "J", "V", "A", "eV", "g", "Pa", "N", "\u03a9", "cal"))
_BASES: Final = """
    atom call cell cycle dof edge elem entry event file flip flop frame hash hit i image insn instr instruction
    iop iops it item job key line message node op packet page particle pixel point query record req row sample scan
    sentence sequence site step task tok transaction update vertex voxel word
"""
BASES: Final = SYMBOLS | frozenset(_BASES.split())
_SAME: Final = {
    "element": "elem",
    "img": "image",
    "iter": "it",
    "iteration": "it",
    "msg": "message",
    "operation": "op",
    "pkt": "packet",
    "pt": "point",
    "px": "pixel",
    "rec": "record",
    "request": "req",
    "token": "tok",
    "txn": "transaction",
}
_PER_SECOND: Final = frozenset(
    ["cps", "cups", "fps", "iops", "lups", "pps", "qps", "rps", "sps", "sups", "teps", "tps", "ups", "wps"]
)
"""Words of something per second, with a prefix in front: MLUPS, kQPS."""


@dataclass(frozen=True)
class Unit:
    """`factor` base units of the same `kind`; `prefix` is the part of the factor that a prefix makes, and `binary`
    says that this one is a power of 1024. `known`: its words are among those that mean something by themselves.

    The empty kind is a bare number or prefix.
    """

    kind: str
    factor: Fraction
    prefix: Fraction
    binary: bool = False
    known: bool = True

    @property
    def ratio(self) -> bool:
        """Whether it is one kind per the same kind, as `ns/day`: people read it as it is written, not as a number."""
        numerator, slash, denominator = self.kind.partition("/")
        return bool(slash) and numerator == denominator


ONE: Final = Fraction(1)
_POWER: Final = re.compile("[0-9\u00b2\u00b3]\\Z")
_BARE: Final = re.compile(r"\A([kKMGTPE])(?=\Z| *(?:/|per ))")
"""A prefix without a unit, perhaps per something."""


def quantity(text: str, unit: str | None = None, wanted: str | None = None, notation: Notation = USUAL) -> float | None:
    """The number in `text`, in the wanted unit. Its own unit is the rest of `text`, or `unit` if it stands
    apart.

    None where there is no number, or more than one, or where the units are of different kinds.
    """
    seconds = None if unit else duration(text, notation)
    if seconds is not None:
        return _converted(seconds, "s", wanted)
    found = split(text, notation)
    if found is None:
        return None
    value, rest = found
    if unit and rest and rest != unit.strip():
        # What stands behind the number, too, can only be a prefix of the unit that stands apart: `1.5k` nsec.
        if rest not in PREFIXES:
            return None
        value *= _scale(value, Fraction(PREFIXES[rest]))
    return _converted(value, unit.strip() if unit else _without_brackets(rest), wanted)


def unit_of(text: str, unit: str | None = None, notation: Notation = USUAL) -> str:
    """The unit of a quantity as it is written; empty for a bare number, or where there is none."""
    if unit:
        return unit.strip()
    if duration(text, notation) is not None:
        return "s"
    found = split(text, notation)
    return "" if found is None else _without_brackets(found[1])


def count_unit(
    units: Counter[str], value: object, text: str, unit: str | None = None, notation: Notation = USUAL
) -> None:
    """Count the unit of a quantity that was read. A bare 0 and what is not finite mean the same in any."""
    found = unit_of(text, unit, notation)
    if found or (isinstance(value, (int, float)) and value and math.isfinite(value)):
        units[found] += 1


def _without_brackets(text: str) -> str:
    """A unit that stands in brackets behind its number; empty where what is in them is none, as in `12.5 (mean)`."""
    if not text.startswith(("(", "[")):
        return text
    inner = text[1:-1].strip()
    unit = _units(inner)[0]
    return inner if unit.known and unit.kind else ""


def _converted(number: Fraction | float, own: str, wanted: str | None) -> float | None:
    try:
        found = _in_unit(number, own, wanted)
    except OverflowError:
        return None
    # In another unit it may be what no float holds.
    lost = found is None or (found == 0 and number != 0) or (math.isinf(found) and math.isfinite(number))
    return None if lost else found


def _in_unit(number: Fraction | float, own: str, wanted: str | None) -> float | None:
    if not wanted:
        unit = _units(own)[0]
        return float(number if unit.ratio else number * _scale(number, unit.prefix))
    for unit in _units(own):
        for target in _units(wanted):
            found = _between(number, _units(_BARE.sub(r"\1i", own))[0] if target.binary else unit, target)
            if found is not None:
                return found
    return None


def _scale(number: Fraction | float, factor: Fraction) -> Fraction | float:
    """The factor as what the number can be multiplied by."""
    return factor if isinstance(number, Fraction) else float(factor)


def _between(number: Fraction | float, unit: Unit, wanted: Unit) -> float | None:
    """A number of one unit in another; None where they are of different kinds."""
    factor: Fraction | None = None
    if not unit.kind:
        factor = ONE if unit.factor == 1 else unit.factor / wanted.prefix
    elif unit.kind == wanted.kind:
        if unit.ratio and (unit.factor < 1) != (wanted.factor < 1):
            return _inverse(number, unit, wanted)  # `hours/ns` in `ns/day`
        factor = unit.factor / wanted.factor
    elif not wanted.kind and unit.kind == "%":
        factor = 1 / (100 * wanted.factor)
    elif not wanted.kind and wanted.factor != 1:
        factor = unit.prefix / wanted.factor
    elif unit.kind.startswith("/") and wanted.kind.endswith(unit.kind):
        factor = unit.factor / wanted.factor  # `199.9/s`: of what is what is wanted
    elif "/" in unit.kind and reciprocal(unit.kind) == wanted.kind:
        return _inverse(number, unit, wanted)
    return None if factor is None else float(number * _scale(number, factor))


def _inverse(number: Fraction | float, unit: Unit, wanted: Unit) -> float | None:
    """A rate as a time for each, and the other way round. A time for each is no rate where it is 0, and none that is
    known where it was rounded to that."""
    return float(1 / (number * _scale(number, unit.factor * wanted.factor))) if number else None


def common_unit(units: Mapping[str, int]) -> str | None:
    """The unit without a prefix that most of a column's values can be read in, of the units as they are written and how
    often; the commonest of `ns/day` and its like. None where each means the same wherever it stands, or no two have
    anything in common."""
    written = {unit: count for unit, count in units.items() if unit}
    if len(written) < 2:
        return None
    readings = {unit: [reading.kind for reading in _units(unit)] for unit in written}
    if len({kinds[0] for kinds in readings.values()}) == 1:
        ratios = all(_units(unit)[0].ratio for unit in written)
        return max(written, key=lambda unit: (written[unit], unit)) if ratios else None
    votes: dict[str, tuple[int, int]] = {}
    for unit, found in readings.items():
        for kind in found:
            inverse = reciprocal(kind)
            every, direct = votes.get(kind, (0, 0))
            votes[kind] = every + written[unit], direct + written[unit]
            if inverse != kind:
                every, direct = votes.get(inverse, (0, 0))
                votes[inverse] = every + written[unit], direct
    best = max(votes, key=lambda kind: votes[kind])
    shares = (found[0] for found in readings.values() if best in found or reciprocal(best) in found)
    return _written(best) if len(set(shares)) > 1 else None


def reciprocal(kind: str) -> str:
    """What `it/time` is to `time/it`."""
    return "/".join(reversed(kind.split("/")))


def kinds(units: Iterable[str], wanted: str | None = None) -> set[str]:
    """Return what units measure, compared with the wanted one: more than one where they can't be compared."""
    targets = {unit.kind for unit in _units(wanted)} if wanted else set()
    found = set()
    for unit in units:
        readings = [reading.kind for reading in _units(unit)]
        found.add(next((kind for kind in readings if kind in targets), readings[0]))
    return found - {""}


def _written(kind: str) -> str:
    base, slash, per = kind.partition("/")
    names = {"time": "s", "byte": "B"}
    return names.get(base, base) + slash + names.get(per, per)


@lru_cache(maxsize=4096)
def _units(text: str) -> tuple[Unit, ...]:
    """The readings of a unit, the likeliest first: with an unknown word its first letters may be a prefix."""
    text = " ".join(text.split())
    numerator, slash, denominator = text.replace(" per ", "/").partition("/")
    numerator, denominator = numerator.strip(), denominator.strip()
    if slash and numerator == "#":
        numerator = ""  # a number of what is not said
    if not slash and len(numerator) > 2 and numerator.endswith("ps"):
        inner = _words(numerator[:-2])[0]
        if inner.kind == "byte":
            return (replace(inner, kind="byte/time"),)
    if not slash and re.search(r"(?:FLOPS|[Ff]lops)\Z", numerator):
        numerator, slash, denominator = numerator[:-1], "/", "s"
    if numerator == "m" and _POWER.search(denominator):
        numerator = "metre"  # `m/s2` is no time
    units = _words(numerator)
    if not slash:
        return units
    if denominator in TIMES:
        # The base of a rate is per second, whichever time it was measured over.
        per = TIMES[denominator]
        return tuple(
            replace(unit, kind=f"{unit.kind}/time", factor=unit.factor / per, prefix=unit.prefix / per)
            for unit in units
        )
    # What a rate is per may have a prefix, too; its base is per one.
    per_units = _words(denominator)
    return tuple(
        Unit(
            f"{unit.kind}/{per_unit.kind}",
            unit.factor / per_unit.factor,
            unit.prefix / per_unit.prefix,
            unit.binary,
            unit.known and per_unit.known,
        )
        for unit in units
        for per_unit in per_units
    )


def _words(text: str) -> tuple[Unit, ...]:
    """The readings of a unit without a denominator."""
    if text in ("", "1"):
        return (Unit("", ONE, ONE),)
    if text == "%":
        return (Unit("%", ONE, ONE),)
    if text in TIMES:
        return (Unit("time", TIMES[text], TIMES[text]),)
    if text in PREFIXES:
        return (Unit("", Fraction(PREFIXES[text]), Fraction(PREFIXES[text]), text.endswith("i")),)
    known: list[Unit] = []
    others: list[Unit] = []
    for prefix in ("", text[:1], text[:2]):
        rest = text[len(prefix) :]
        scale = Fraction(PREFIXES.get(prefix, 0 if prefix else 1))
        if rest in SYMBOLS and prefix in SMALL:
            scale = SMALL[prefix]
        if not scale or not rest:
            continue
        binary = prefix.endswith("i")
        if rest in BYTES:
            return (Unit("byte", scale, scale, binary),)
        if rest in BITS:
            return (Unit("byte", scale / 8, scale, binary),)
        kind = singular(rest)
        certain = rest in SYMBOLS or (len(rest) > 1 and kind in BASES) or kind in _PER_SECOND
        (known if certain else others).append(Unit(kind, scale, scale, binary, certain))
    return (*known, *others)


def singular(word: str) -> str:
    """The one name of a unit that is written in several ways: `Tokens`, `tok`."""
    if word in SYMBOLS:
        return word
    lower = word.lower()
    if len(lower) > 2 and lower.endswith("s") and not lower.endswith("ss") and lower not in _PER_SECOND:
        lower = lower[:-1]
    lower = {"entrie": "entry", "querie": "query", "vertice": "vertex", "hashe": "hash"}.get(lower, lower)
    return _SAME.get(lower, lower)
