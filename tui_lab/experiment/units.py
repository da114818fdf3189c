"""Times and sizes of memory as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
TIME_HINT: Final = "write 30s, 1h30m, 2d, or a number of seconds"
MEMORY_HINT: Final = "write 500M, 4G or 1.5T"

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s|m|h|d)\s*", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)
_MEMORY: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:([KkMmGgTtPp])(i?B|i)?|B)", re.ASCII)


def duration(text: str) -> float:
    """Seconds in `30s`, `1h30m`, `1d`, `500ms` or plain `90`. Raises ValueError for anything else."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    total, at, seen = 0.0, 0, set()
    while at < len(text) and (part := _PART.match(text, at)):
        if part[2] in seen:
            break
        seen.add(part[2])
        total += float(part[1]) * SECONDS[part[2]]
        at = part.end()
    if not text or at < len(text):
        raise ValueError(f'"{text}" is no time')
    return total


def memory(text: str) -> int:
    """Bytes in `4G`, `500M` or `1.5T`. Raises ValueError for anything else, and for a number without a unit but 0.

    K, M, G, T, P are powers of 1024, as Slurm has them, and so are KiB, MiB, ...; KB, MB, ... are powers of 1000.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        if float(text) == 0:
            return 0
        raise ValueError(f'the memory "{text}" has no unit')
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no size of memory')
    scale = 1
    for _ in "kmgtp"[: "kmgtp".index(match[2].lower()) + 1] if match[2] else "":
        scale *= 1000 if match[3] == "B" else 1024
    return round(Fraction(match[1].rstrip(".")) * scale)
