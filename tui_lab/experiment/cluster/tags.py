"""Tags of nodes, by which `run_on` selects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def fit(wanted: Iterable[str], tags: Sequence[str]) -> bool:
    """Return whether a node with these tags is one that `run_on` selects."""
    return all(_fits(one, tags) for one in wanted)


def _fits(wanted: str, tags: Sequence[str]) -> bool:
    word, _, tag = wanted.partition(" ")
    return tag.strip() not in tags if word == "not" else wanted in tags
