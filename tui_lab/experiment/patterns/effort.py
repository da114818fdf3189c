"""How long a search can take at worst, computed from the pattern alone.

Python's `re` tries one way after the other, and some patterns have more ways through a line than anyone can wait for:
`(a+)+$` has 2^n. What is counted here is an upper bound, as a polynomial of the line's length: the ways through a part
multiply with those of the part that follows, and every place of the line is a place to begin.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

STEPS: Final = 2e6
"""Steps that a search may take at once: less than a tenth of a second, during which no other thread runs."""
LONGEST: Final = 1 << 20
_MANY: Final = 8
"""A repeat up to more than this often counts as one without an end."""
_TERMS: Final = 6
"""Powers of the length that are distinguished; a pattern with a higher one is for short lines only."""
_ANY: Final = (1 << 129) - 1
_BEYOND: Final = 1 << 128
"""Of a set of characters: those beyond ASCII, which are taken as one."""

Polynomial = tuple[float, ...]
"""Factors of the powers of the length, the constant first. As the parts share one line, n^k stands for n^k/k!."""
_ONE: Final[Polynomial] = (1.0,)
_N: Final[Polynomial] = (1.0, 1.0)


class _UnboundedError(Exception):
    """The ways grow faster than any polynomial, or the part is not known here."""


class _Part(NamedTuple):
    ways: Polynomial
    """In how many ways it can match at one place."""
    steps: Polynomial
    """What it takes to try all of them."""


def longest_line(regex: re.Pattern[str]) -> int:
    """Characters of a line in which a search ends within STEPS, whatever the line holds; 0 where none can be named.

    The parser of `re` is not public: without it no line can be named.
    """
    try:
        parser: Any = importlib.import_module("re._parser")
        tree = parser.parse(regex.pattern, regex.flags & ~re.UNICODE)
        items = list(tree)
        # Where the pattern begins with plain text, most places are passed by in a step.
        steps = _times(_sequence(items, 0, regex.flags).steps, (0.0, 1 / _period(items)))
    except (
        _UnboundedError,
        ImportError,
        AttributeError,
        TypeError,
        ValueError,
        re.error,
        RecursionError,
        OverflowError,
    ):
        return 0
    low, high = 0, LONGEST
    while low < high:
        middle = (low + high + 1) // 2
        if 2 * middle + _value(steps, middle) <= STEPS:
            low = middle
        else:
            high = middle - 1
    return low


def _period(items: list[Any]) -> int:
    """Characters between two places, at least, where the plain text stands that `items` begin with; 1 without any."""
    text: list[int] = []
    for operator, argument in items:
        if str(operator) != "LITERAL":
            break
        text.append(argument)
    return next((n for n in range(1, len(text)) if text[n:] == text[:-n]), max(len(text), 1))


def _value(polynomial: Polynomial, length: int) -> float:
    value, power = 0.0, 1.0
    for exponent, factor in enumerate(polynomial):
        value += factor * power
        power *= length / (exponent + 1)
    return value


def _plus(one: Polynomial, other: Polynomial) -> Polynomial:
    if len(one) < len(other):
        one, other = other, one
    return tuple(factor + (other[i] if i < len(other) else 0.0) for i, factor in enumerate(one))


def _times(one: Polynomial, other: Polynomial) -> Polynomial:
    product = [0.0] * (len(one) + len(other) - 1)
    for i, first in enumerate(one):
        for k, second in enumerate(other):
            product[i + k] += first * second
    if len(product) > _TERMS or max(product) > 1e9:
        raise _UnboundedError
    return tuple(product)


def _sequence(items: list[Any], follow: int, flags: int) -> _Part:
    """Parts one behind the other. `follow`: the characters that what stands behind all of them may begin with."""
    ways: Polynomial = _ONE
    steps: Polynomial = (0.0,)
    follows = [follow]
    for item in reversed(items):
        first, empty = _first(item, flags)
        follows.append(first | follows[-1] if empty else first)
    follows.reverse()
    for i, item in enumerate(items):
        part = _part(item, follows[i + 1], flags)
        steps = _plus(steps, _times(ways, part.steps))
        ways = _times(ways, part.ways)
        if str(item[0]) == "LITERAL" and (i == 0 or str(items[i - 1][0]) != "LITERAL"):
            period = _period(items[i:])
            ways = (ways[0], *(factor / period for factor in ways[1:]))
    return _Part(ways, steps)


def _part(item: Any, follow: int, flags: int) -> _Part:
    name, argument = str(item[0]), item[1]
    if name in ("LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "AT", "FAILURE"):
        return _Part(_ONE, _ONE)
    if name == "SUBPATTERN":
        return _sequence(list(argument[3]), follow, (flags | argument[1]) & ~argument[2])
    if name in ("ASSERT", "ASSERT_NOT"):
        return _Part(_ONE, _sequence(list(argument[1]), _ANY, flags).steps)
    if name == "ATOMIC_GROUP":
        return _Part(_ONE, _sequence(list(argument), follow, flags).steps)
    if name == "BRANCH":
        parts = [_sequence(list(branch), follow, flags) for branch in argument[1]]
        ways, steps = parts[0]
        for part in parts[1:]:
            ways, steps = _plus(ways, part.ways), _plus(steps, part.steps)
        return _Part(ways, _plus(steps, _ONE))
    if name == "GROUPREF":
        return _Part(_ONE, _N)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, inner = int(argument[0]), int(argument[1]), list(argument[2])
        part = _repeat(least, most, inner, follow, flags)
        return _Part(_ONE, part.steps) if name == "POSSESSIVE_REPEAT" else part
    raise _UnboundedError


def _repeat(least: int, most: int, inner: list[Any], follow: int, flags: int) -> _Part:
    first = _first_of(inner, flags)[0]
    if len(inner) == 1 and str(inner[0][0]) in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
        many = _N if most > _MANY else (float(most + 1),)
        # What it holds can't begin what follows: a shorter run is refused by the next character.
        return _Part(_ONE if not first & follow else many, many)
    part = _sequence(inner, first | follow, flags)
    if most <= _MANY:
        ways, steps, through = _ONE, _ONE, _ONE
        for _ in range(most):
            steps = _plus(steps, _times(through, part.steps))
            through = _times(through, part.ways)
            ways = _plus(ways, through)
        return _Part(_ONE if ways == (float(most + 1),) and (least == most or not first & follow) else ways, steps)
    if part.ways != _ONE:
        raise _UnboundedError
    return _Part(_ONE if not first & follow else _N, _times(part.steps, _N))


# --- What a part can begin with


def _first_of(items: list[Any], flags: int) -> tuple[int, bool]:
    """The characters that parts one behind the other can begin with, and whether they can match nothing at all."""
    first = 0
    for item in items:
        characters, empty = _first(item, flags)
        first |= characters
        if not empty:
            return first, False
    return first, True


def _first(item: Any, flags: int) -> tuple[int, bool]:
    name, argument = str(item[0]), item[1]
    if name == "LITERAL":
        return _characters(re.escape(chr(argument)), flags), False
    if name in ("NOT_LITERAL", "ANY"):
        return _ANY, False
    if name == "IN":
        return _set(argument, flags), False
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        first, empty = _first_of(list(argument[2]), flags)
        return first, empty or argument[0] == 0
    if name == "SUBPATTERN":
        return _first_of(list(argument[3]), (flags | argument[1]) & ~argument[2])
    if name == "ATOMIC_GROUP":
        return _first_of(list(argument), flags)
    if name == "BRANCH":
        found = [_first_of(list(branch), flags) for branch in argument[1]]
        first = 0
        for characters, _ in found:
            first |= characters
        return first, any(empty for _, empty in found)
    if name == "AT":
        return 0, True
    if name in ("ASSERT", "ASSERT_NOT") and len(_sequence(list(argument[1]), _ANY, flags).steps) == 1:
        return 0, True
    return _ANY, True  # what takes long to analyse would take so at each end of a run


def _set(items: Any, flags: int) -> int:
    found = 0
    for operator, argument in items:
        name = str(operator)
        if name == "LITERAL":
            found |= _characters(re.escape(chr(argument)), flags)
        elif name == "RANGE" and argument[1] < 128:
            low, high = re.escape(chr(argument[0])), re.escape(chr(argument[1]))
            found |= _characters(f"[{low}-{high}]", flags)
        elif name == "CATEGORY" and str(argument) in _CATEGORIES:
            found |= _characters(_CATEGORIES[str(argument)], flags)
        else:
            return _ANY  # NEGATE, and what is beyond ASCII
    return found


_CATEGORIES: Final = {"CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s", "CATEGORY_WORD": r"\w"}


_FOLDED: Final = "\u0130\u0131\u017f\u212a"
"""Characters beyond ASCII that are letters of ASCII without regard to case."""


@lru_cache(maxsize=1024)
def _characters(expression: str, flags: int) -> int:
    """The set of characters that an expression for one matches."""
    regex = re.compile(expression, flags & (re.IGNORECASE | re.ASCII))
    found = sum(1 << code for code in range(128) if regex.fullmatch(chr(code)))
    wide = not expression.isascii() or (expression in _CATEGORIES.values() and not flags & re.ASCII)
    return found | _BEYOND if wide or any(map(regex.fullmatch, _FOLDED)) else found
