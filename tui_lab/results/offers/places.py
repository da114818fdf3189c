"""Where the numbers stand in an output that offers read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tui_lab.experiment.patterns.pattern import PatternError, compile_pattern
from tui_lab.experiment.sources.json import JsonSource
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.results.offers.offer import Offer

_STEP: Final = re.compile(r"\.([^.\[\]*]+)\Z")


@dataclass(frozen=True)
class Place:
    """Where a number stands that an offer reads."""

    line: int
    """By its place among the lines."""
    start: int
    end: int
    """Of the number with its name."""
    value: tuple[int, int]
    """Of the number alone."""


def places(offer: Offer, lines: Sequence[str], streams: Mapping[str, range]) -> Iterator[Place]:
    """Where the pattern of an offer matches. Such patterns are made here, and quick."""
    definition = {PatternSource.kind: offer.definition} if isinstance(offer.definition, str) else offer.definition
    source = str(definition.get("from", "stdout"))
    if PatternSource.kind in definition:
        pattern = str(definition[PatternSource.kind])
    elif step := _STEP.search(str(definition.get("path", ""))):
        source = str(definition.get(JsonSource.kind))
        pattern = rf'"{re.escape(step[1])}" *: *(@float@)'
    else:
        return
    try:
        compiled = compile_pattern(pattern)
    except PatternError:
        return
    for at in streams.get(source, ()):
        for match in compiled.regex.finditer(lines[at]):
            yield Place(at, *match.span(), match.span(1))
