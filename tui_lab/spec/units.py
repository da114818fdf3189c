"""Times as people write them."""

from __future__ import annotations

import re
from typing import Final

SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
TIME_HINT: Final = "write 30s, 1h30m, 2d, or a number of seconds"

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s|m|h|d)\s*", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


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
