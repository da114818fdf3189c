"""Regular expressions of the shorthands in patterns: `@float@ @int@ @str@ @slug@ @quantity@`.

A number is taken whole. What visibly goes on where the number could end (`1,234`, `1.5.3`, `1-02:03:04`, `1h 23m`,
`0x1F`, `5e`) belongs to the match, so that its reader (`tui_lab.results.extraction.numbers`) reads all of it or
nothing. Only where the pattern itself goes on with such text, as in `(@int@),(@int@)`, does a number end there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["float", "int", "str", "quantity", "text"]
"""What a group holds: one of the shorthands, or `text` for anything else (and for `@slug@`)."""

_SIGN: Final = "[-+\u2212]"
_LETTER: Final = r"[^\W\d_]"
_SPACES: Final = "\u00a0\u2007\u2009\u202f"  # those that no line is broken at
_JOINTS: Final = rf".,:'\u2019_^\u00d7*+\u2212{_SPACES}-"
_DIGIT: Final = r"[0-9\u00b2\u00b3\u00b9\u2070-\u2079\u207a\u207b]"
# What shows that a number goes on: more digits, straight on or behind a joint (of a date, a version, thousands).
_MORE: Final = rf"(?:{_DIGIT}|[{_JOINTS}][0-9]|\.+[0-9]|\.?\#[A-Z]|/[0-9]+/[0-9])"
_GOES_ON: Final = rf"(?:{_LETTER}|{_MORE})"
# Digits are possessive (`++`): a number is never cut in two, and a long one isn't tried at each of its digits.
_EXPONENT: Final = r"(?:[eE][-+]?[0-9]++|[dD][-+]?[0-9]++)?+"
_DECIMAL: Final = rf"{_SIGN}?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++){_EXPONENT}"
_WHOLE: Final = rf"{_SIGN}?[0-9]++"
_HEX: Final = rf"{_SIGN}?0[xX][0-9A-Fa-f]"
# Everything that hangs together with a number, to be read whole or not at all. It is bounded, as some lines have no
# space.
_RUN: Final = (
    rf"{_SIGN}?\.?[0-9](?:{_LETTER}|{_DIGIT}|[{_JOINTS}](?=[0-9])|\.+(?=[0-9])"
    r"|\.?\#(?=[A-Z])|/(?=[0-9]+/[0-9])|(?<=/[0-9])/(?=[0-9])|(?<=/[0-9]{2})/(?=[0-9])){0,200}+"
)
_NOT_FINITE: Final = rf"{_SIGN}?(?<![A-Za-z0-9_])(?ai:inf(?:inity)?|[qs]?nan(?:\([a-z0-9]*\))?)(?![a-zA-Z0-9_])"

# Durations in parts with spaces between them: `1h 23m`, `2 min 30 s`, `1 day, 2:03:04`. Each part is a whole number of
# a larger unit than the next one's. `1.5 h 20 min` belongs to the match, too, for its reader to refuse: its head alone
# would be wrong. Behind a comma, as in `1.5 s, 20 ms`, stands another number.
_TIME: Final = (
    ("weeks?|w", "w"),
    ("days?|d", "[wd]"),
    ("hours?|hrs?|h", "[wdh]"),
    ("minutes?|mins?|m", "(?:[wdh]|m(?!s|illi|icro))"),
    ("seconds?|secs?|s", "(?:[wdhs]|m(?!s|illi|icro))"),
    ("milliseconds?|msecs?|ms", "(?:[wdhs]|m(?!icro))"),
    ("microseconds?|usecs?|[u\u00b5\u03bc]s", "(?:[wdhmsu\u00b5\u03bc])"),
)
_ANY_TIME: Final = "|".join(names for names, _ in _TIME) + "|nanoseconds?|nsecs?|ns"
_BETWEEN: Final = r"(?:,?[ ]{1,2}(?:and[ ])?)?"
_PART: Final = rf"[0-9]{{1,8}}+(?:[.,][0-9]{{1,12}}+(?=[ ]?{_LETTER}++[ ]))?+"


def _part(names: str, larger: str) -> str:
    after = rf"(?=[0-9])(?![0-9.,]{{1,20}}[ ]?{larger})"
    return rf"(?:{_PART}[ ]?(?:{names})(?!{_LETTER}){_BETWEEN}{after})?+"


def _two_parts() -> str:
    """The units of the first two parts, and the number between them: a number with one unit is no duration in parts."""
    names = [names for names, _ in _TIME] + ["nanoseconds?|nsecs?|ns"]
    number = r"[0-9]{1,8}+(?:[.,][0-9]{1,12}+)?[ ]?"
    pairs = (
        rf"(?:{larger})(?!{_LETTER}){_BETWEEN}{number}(?:{'|'.join(names[place:])})(?!{_LETTER})"
        for place, larger in enumerate(names[:-1], 1)
    )
    return "|".join(pairs)


_CLOCK: Final = r"[0-9]{1,8}+(?::[0-9]{2}){1,2}(?:[.,][0-9]{1,12}+)?"
DURATION: Final = (
    rf"(?>{_SIGN}?(?:(?={_PART}[ ]?(?:{_two_parts()})){''.join(_part(*time) for time in _TIME)}"
    rf"[0-9]{{1,8}}+(?:[.,][0-9]{{1,12}}+)?[ ]?(?:{_ANY_TIME})(?![\w/])"
    rf"|[0-9]{{1,8}}+[ ]?d(?:ays?)?,?[ ]+{_CLOCK}(?!{_GOES_ON})))"
)
# Those with colons, as in `1-02:03:04`, `62:03.5` and `1h05:32`: no unit follows them.
_COLONS: Final = (
    rf"(?>{_SIGN}?(?:[0-9]{{1,8}}+[-d])?+(?:[0-9]{{1,8}}+[:h](?=[0-9]{{1,8}}:))?+"
    rf"[0-9]{{1,8}}+:[0-9]{{2}}(?:[.,][0-9]{{1,12}}+)?+)(?!{_GOES_ON})"
)
_SOME: Final = "[0-9]{1,8}+(?:[.,][0-9]{1,12}+)?"
_ISO: Final = rf"(?<!\w){_SIGN}?P(?=T?[0-9])(?:{_SOME}[YMWD]){{0,4}}+(?:T(?:{_SOME}[HMS]){{1,3}}+)?+(?!\w)"

# Letters right behind a number are its unit. These are not: they say that the number is another one.
_OTHER_NUMBER: Final = rf"(?:[kKMGTP]i?|[eE]|[a-f]{{2,}}|[A-F]{{2,}})(?!{_LETTER})"
_SUFFIX: Final = rf"(?:(?!{_OTHER_NUMBER}){_LETTER}++)?+"
_POWER: Final = r"(?:\^?-?[0-9](?![0-9]|[.,:][0-9]))?+"  # as in `W/m2`, `m/s^2`
_WORDS: Final = rf"(?:%|\u00b0?{_LETTER}++)(?:/{_LETTER}++{_POWER})?(?:[ ]per[ ]{_LETTER}++{_POWER})?"
_IN_BRACKETS: Final = rf"[ ]?(?:{_WORDS}|\#?/[ ]?{_LETTER}++)[ ]?"
# The error of a value stands between it and the unit of both: `12.5±0.3 ms`, `12.5(3) ms`.
_ERROR: Final = rf"(?:(?:[ ]?(?:\u00b1|\+/-|\+-)[ ]?(?>{_DECIMAL})|\([0-9]{{1,3}}\))(?=[ ]?(?:%|{_LETTER})))?"
_UNIT: Final = rf"(?:{_ERROR}[ ]?(?:{_WORDS}|[kKMGTPE]i?|/[ ]?{_LETTER}++|\[{_IN_BRACKETS}\]|\({_IN_BRACKETS}\)))?"


def _groups_of_three(least: int) -> str:
    """Thousands with plain spaces between them: `1 234 567`."""
    return rf"{_SIGN}?[0-9]{{1,3}}(?:[ ][0-9]{{3}}){{{least},}}+(?![0-9])(?:[.,][0-9]++)?+"


def _number(plain: str, spaced: bool) -> str:
    thousands = _groups_of_three(1) if spaced else rf"{_groups_of_three(2)}(?=[ ]?(?:{_LETTER}|%))"
    return (
        rf"(?:{DURATION}|{thousands}|(?!{_HEX})(?>{plain})(?={_SUFFIX}(?!{_GOES_ON}))|(?>{_RUN})|(?>{plain})"
        rf"|{_NOT_FINITE})"
    )


def _quantity(spaced: bool) -> str:
    thousands = _groups_of_three(1) + ("" if spaced else rf"(?=[ ]?(?:{_LETTER}|%))")
    possessive = _UNIT + "+"
    return (
        rf"(?:{DURATION}|{_COLONS}|{_ISO}|{thousands}{_UNIT}|(?!{_HEX})(?>{_DECIMAL})(?={possessive}(?!{_GOES_ON})){_UNIT}"
        rf"|(?>{_RUN}){_UNIT}|(?>{_DECIMAL}){_UNIT}|{_NOT_FINITE}{_UNIT})"
    )


STR: Final = r"""(?:"[^"]*+"|'[^']*+'|\S+)"""
SLUG: Final = r"(?:[-0-9A-Za-z_]+)"
KINDS: Final[Mapping[str, Kind]] = {
    "float": "float",
    "int": "int",
    "str": "str",
    "slug": "text",
    "quantity": "quantity",
}
_NUMBERS: Final = {
    spaced: {
        "float": _number(_DECIMAL, spaced),
        "int": _number(_WHOLE, spaced),
        "quantity": _quantity(spaced),
    }
    for spaced in (False, True)
}

# Behind these a number could begin in the middle of another: at the beginning of a pattern or of an alternative, and
# after what takes as many digits as it can, as `.*` does.
_ANYWHERE: Final = re.compile(
    r"(?:^|\||(?:(?<!\\)\.|\\[SwW]|\[\^(?:[^\]\\]|\\.)*\])(?:[*+?]|\{[0-9,]*\})[?+]?)"
    r"(?:\((?:\?P<\w+>|\?:|\?[a-zA-Z]+\))?|\\b|\^)*\Z"
)
_BEGINS: Final = (
    rf"(?<![0-9])(?<![0-9][{_JOINTS}])(?<![0-9][eEdD][-+])(?<![0-9][A-Za-z])(?<!\.)(?<!(?<![\w.)\]%])[-+\u2212])"
)


def expansion(name: str, before: str, spaced: bool = False) -> str:
    """The expression for a shorthand that stands behind the text `before` of a pattern. `spaced` says that numbers have
    spaces between their thousands."""
    if name == "str":
        return STR
    if name == "slug":
        return SLUG
    begins = _BEGINS if _ANYWHERE.search(before) else ""
    # Whatever flags the pattern has: `m` is no `M`, and any letter is one.
    return f"(?u-i:{begins}{_NUMBERS[spaced][name]})"


def bounded(name: str) -> str:
    """An expression that takes no fewer steps than the shorthand to find where it ends, and has as many ways to end: to
    tell how long a search may take. All but a run of digits is bounded in those for numbers."""
    return {"str": STR, "slug": SLUG}.get(name, r"(?:[-+.0-9iInNP][0-9]*+\S{0,8})")
