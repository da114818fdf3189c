"""Reads the values that a parameter may take."""

from __future__ import annotations

import re
from typing import Final

from tui_lab.experiment.domains.domain import Domain, Listed
from tui_lab.experiment.domains.kinds import KINDS
from tui_lab.experiment.domains.reading import MAX_SIZE, values
from tui_lab.experiment.domains.values import wrong_type
from tui_lab.experiment.registry import PluginError
from tui_lab.experiment.yaml.problem import Suggestion, suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader

__all__ = ["MAX_SIZE", "called_like", "kinds_at", "looks_like_domain", "read_domain"]


def read_domain(r: Reader, path: Keypath) -> Domain | None:
    """Return the domain at a path: a scalar, a list, or a mapping with one kind of domain."""
    node = r.node(path)
    name = path[-1]
    if node.kind == "list":
        listed = None if _has_domain_within(r, path) else values(r, path)
        return None if listed is None else Listed(values=listed)
    if node.kind == "scalar":
        if node.value is None:
            r.add(path, f'parameter "{name}" has no value', "write [null] for the value null")
            return None
        return Listed(values=(node.value,))
    kinds = r.keys(path)
    if len(kinds) != 1:
        if not r.misread(path):
            found = " and ".join(f'"{kind}"' for kind in kinds) or "none"
            hint = f"{_INSIDE}; {_kinds()}"
            if kinds and isinstance(name, str) and not any(kind in KINDS for kind in kinds):
                hint = f"{_grouped(name, kinds[0])}; {hint}"
            r.add(path, f"a domain has one kind, and this has {found}", hint)
        return None
    kind = kinds[0]
    if kind not in KINDS:
        if not r.empty((*path, kind)) or not r.misread(path):
            hint = _meant(r, path, kind) or suggest(kind, KINDS) or f"{_kinds()}; {_INSIDE}"
            r.add((*path, kind), f'"{kind}" is not a kind of domain', hint, at_key=True)
        return None
    try:
        meant = KINDS[kind]
    except PluginError as error:
        r.add((*path, kind), str(error), at_key=True)
        return None
    at = (*path, kind)
    if meant.as_written and _has_domain_within(r, at):
        return None
    nested = [inner for _, inner in meant.inner_paths(r, at) if looks_like_domain(r, inner)]
    for inner in nested:
        r.add(inner, "a case sets one value, not a domain")
    domain = meant.read(r, at)
    if domain is not None and kind not in KINDS.own and (wrong := _wrong_value(domain)):
        r.add(at, f'"{kind}" {wrong}')
        return None
    return None if nested else domain


_DRAWS: Final = 1000
"""Numbers that are drawn to check a domain."""


def _wrong_value(domain: Domain) -> str:
    """Return what is wrong with the values of a domain of another package; empty where nothing is. A file says no
    others, so nothing else expects them."""
    way = "listed" if domain.listed else "drawn"
    try:
        if domain.dtype is not None:
            return _wrong_draw(domain)
        size = domain.size
        if size is not None and size > MAX_SIZE:
            return f"has more than {MAX_SIZE:,} values"
        found = domain.listing()
        columns = [found, *(domain.inner_values(name, None) for name in domain.inner_names)]
    except Exception as error:  # noqa: BLE001 (it is the code of another package)
        return f"can't be {way}: {type(error).__name__}: {str(error).split(chr(10), 1)[0]}"
    if not found:
        return "has no value"
    return next((wrong for values in columns for value in values if (wrong := wrong_type(value))), "")


def _wrong_draw(domain: Domain) -> str:
    """Return what is wrong with some draws of a domain of another package; empty where nothing is. Raises what it
    raises."""
    import numpy as np
    import polars as pl

    from tui_lab.experiment.domains.draws import words

    size = domain.size
    if size == 0:
        return "has no value"
    bits = np.append(words(0, domain.kind, np.arange(_DRAWS)), np.array([0, 2**64 - 1], dtype=np.uint64))
    arrays = [domain.draw(bits)]
    if size is not None:
        arrays.append(domain.at((bits % np.uint64(min(size, 2**63))).astype(np.int64)))
    columns = [pl.Series(array, dtype=domain.dtype) for array in arrays]
    if short := next((len(column) for column in columns if len(column) != len(bits)), None):
        return f"draws {short:,} numbers where {len(bits):,} are needed"
    return next((wrong for column in columns for value in column.to_list() if (wrong := wrong_type(value))), "")


def _has_domain_within(r: Reader, path: Keypath) -> bool:
    """Return whether a domain stands inside a list, which is noted."""
    for i in range(len(r.node(path).items) if r.node(path).kind == "list" else 0):
        if looks_like_domain(r, (*path, i)):
            hint = "write it without the list, or list its values"
            r.add((*path, i), "a domain can't stand inside a list", hint)
            return True
    return False


_LISTS: Final = ("values", "value", "list", "options", "in", "grid")


def _meant(r: Reader, path: Keypath, kind: str) -> str:
    """Return a hint for a key that has a counterpart here; empty for others."""
    if kind in _LISTS:
        return f"write the list itself, as in {path[-1]}: [1, 2]"
    for name, member in KINDS.own.items():
        if kind in member.elsewhere:
            return Suggestion(kind, name)
    if not isinstance(path[-1], str) or suggest(kind, KINDS):
        return ""
    grouped = _grouped(path[-1], kind)
    return grouped if r.node((*path, kind)).kind == "list" else f"{grouped}; {_INSIDE}; {_kinds()}"


_INSIDE: Final = "write a mapping that is a value inside a list"


def _kinds() -> str:
    return f"kinds are {', '.join(KINDS)}"


def _grouped(name: str, inner: str) -> str:
    return f"a parameter of a group has a dot in its name, as in {name}.{inner}: [1, 2]"


_MAYBE_CALL: Final = re.compile(r"\(.*\)|\.\.", re.DOTALL)


def called_like(text: str) -> tuple[str, str] | None:
    """Return the kind of domain that a text looks like, and what stands in its list: like a call in Python,
    `range(0, 3)`, or like what a shell makes several words of, `{1..3}`."""
    if not _MAYBE_CALL.search(text):
        return None
    for kind, member in KINDS.own.items():
        if (inside := member.written_in(text.strip())) is not None:
            return kind, inside
    return None


def looks_like_domain(r: Reader, path: Keypath) -> bool:
    """Return whether a value is written like a domain other than a list."""
    keys = r.keys(path)
    return len(keys) == 1 and keys[0] in KINDS


def kinds_at(r: Reader, path: Keypath) -> list[tuple[type[Domain], Keypath]]:
    """Return the kinds of domain that a value is written as, and where: one, unless something is wrong with it."""
    found = []
    for key in r.keys(path):
        if key in KINDS:
            try:
                found.append((KINDS[key], (*path, key)))
            except PluginError:
                continue  # reading it tells
    return found
