"""What the kinds of domain read alike: lists of values, numbers, two bounds, and `[start, stop, n]`."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.domains.model import Number, Value
from tui_lab.experiment.yaml.reader import Keypath, Reader, described

MAX_SIZE: Final = 10_000_000  # values of one parameter
_BOUNDS: Final = "[a, b]"
_SPACE: Final = "[start, stop, n]"


def values(r: Reader, path: Keypath) -> tuple[Value, ...] | None:
    """Return the values of a list at a path, or None after noting what is wrong."""
    node = r.node(path)
    if node.kind != "list":
        r.wrong(path, "a list of values")
        return None
    if not node.items:
        r.add(path, "an empty list of values", "give at least one value")
        return None
    for i in range(len(node.items)):
        if r.document.is_bare_set(node.items[i]) and r.misread((*path, i)):
            return None
    return tuple(node.plain())


def numbers(r: Reader, path: Keypath, form: str, least: int, most: int) -> list[Number] | None:
    """The numbers of a domain, as many as its form says."""
    node = r.node(path)
    if node.kind != "list":
        r.add(path, f'"{path[-1]}" takes {form}, not {described(node)}')
        return None
    if not least <= len(node.items) <= most:
        r.add(path, f'"{path[-1]}" takes {form}, not {len(node.items)} values')
        return None
    read = [r.number((*path, i)) for i in range(len(node.items))]
    found = [n for n in read if n is not None]
    return found if len(found) == len(read) else None


def not_too_large(r: Reader, path: Keypath, size: int) -> bool:
    """Return whether a domain has no more values than are allowed; else that is noted."""
    if size > MAX_SIZE:
        r.add(path, f"a parameter with {size:,} values", f"{MAX_SIZE:,} are allowed")
    return size <= MAX_SIZE


def space(r: Reader, path: Keypath) -> tuple[Number, Number, int] | None:
    """Start, stop and n."""
    found = numbers(r, path, _SPACE, 3, 3)
    if found is None:
        return None
    n = r.whole((*path, 2), most=None)
    if n is None:
        return None
    if n < 1:
        r.add((*path, 2), f'the n of "{path[-1]}" must be at least 1, not {n}')
        return None
    return (found[0], found[1], n) if not_too_large(r, path, n) else None


def bounds(r: Reader, path: Keypath, equal: bool = False) -> tuple[Number, Number] | None:
    """Return the two numbers at a path, the smaller first, or None after noting what is wrong.

    equal: they may be equal."""
    found = numbers(r, path, _BOUNDS, 2, 2)
    if found is None:
        return None
    a, b = found
    if a > b or (a == b and not equal):
        r.add(path, f'the first number of "{path[-1]}" must be below the second', "write [low, high]")
        return None
    return a, b
