"""Characters that look like those of ASCII and are others: they come along when a text is copied from a document."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Final

_CYRILLIC: Final = ("авекмнорстухіјѕԁһԛԝАВЕКМНОРСТУХІЈЅ", "abekmhopctyxijsdhqwABEKMHOPCTYXIJS")
_GREEK: Final = ("ανορτυχιΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "avoptuxiABEZHIKMNOPTYX")
_SIGNS: Final = ("−–—‐‑‒“”„‟‘’‚‛«»", '------""""\'\'\'\'""')
_ALIKE: Final = {ord(one): other for pair in (_CYRILLIC, _GREEK, _SIGNS) for one, other in zip(*pair, strict=True)}
_VALUE: Final = re.compile(r"[-+]?\.?[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?|\"[^\"]*\"|'[^']*'|true|false|null")
_BRACES: Final = re.compile(r"\{([^\s{}\"'`$,;:()\[\]]+)\}")


def in_ascii(text: str) -> str:
    """What a text looks like: with characters of ASCII in the place of those that look alike, and without those that
    can't be seen."""
    seen = "".join(one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf")
    return seen.translate(_ALIKE)


def stranger(text: str) -> str:
    """The first character of a text that is not ASCII, by its number and its name."""
    one = next(character for character in text if not character.isascii())
    name = unicodedata.name(one, "")
    return f"U+{ord(one):04X}" + (f", {name}" if name else "")


def looks_like_value(text: str) -> bool:
    """Whether a text looks like a number, a word of YAML, or a text in quotes, and is none for a character or two."""
    return not text.isascii() and _VALUE.fullmatch(in_ascii(text)) is not None


def placeholders_alike(text: str, known: Collection[str]) -> Iterator[tuple[int, str, str]]:
    """Words in braces that look like placeholders of known names, and are others: where they stand, the word, and the
    name."""
    if text.isascii():
        return
    for found in _BRACES.finditer(text):
        if not found[1].isascii() and (name := in_ascii(found[1])) in known:
            yield found.start(), found[1], name
