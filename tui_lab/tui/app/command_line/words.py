"""What can be typed into the command line, and how a beginning of it is completed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Word:
    """A word that a line begins with. takes: what may follow, a key of `Vocabulary.arguments`."""

    name: str
    help: str
    takes: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """All words, those that are offered first before the others; and the names that arguments may have, by kind."""

    words: tuple[Word, ...]
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def word(self, name: str) -> Word | None:
        """Return the word of a name; None where there is none."""
        return next((word for word in self.words if word.name == name), None)


@dataclass(frozen=True)
class Candidate:
    """How a line may go on. line: all of it then."""

    line: str
    help: str = ""


def complete(vocabulary: Vocabulary, line: str) -> list[Candidate]:
    """Return how a line may go on, the likeliest first."""
    name, blank, rest = line.lstrip().partition(" ")
    if not blank:
        ranked = [(rank, word) for word in vocabulary.words if (rank := _rank(name.lower(), word)) is not None]
        ranked.sort(key=lambda one: one[0])
        return [Candidate(word.name, word.help) for _, word in ranked]
    word = vocabulary.word(name)
    before, _, last = rest.rpartition(" ")
    if word is None or (before and word.takes != "experiment"):
        return []
    given = f"{name} {before} ".replace("  ", " ") if before else f"{name} "
    names = vocabulary.arguments.get(word.takes, ())
    return [Candidate(given + one, word.help) for one in names if one.lower().startswith(last.lower())]


def ghost(candidates: list[Candidate], line: str) -> str:
    """Return the line that the likeliest completion makes of this one; empty where it does not begin with it."""
    return next((one.line for one in candidates if one.line.startswith(line) and one.line != line), "")


def meant(vocabulary: Vocabulary, line: str) -> str | None:
    """Return a line with its first word in full; None where it names nothing, or not one thing alone. A word stands
    before the actions of its name."""
    name, blank, rest = line.strip().partition(" ")
    if vocabulary.word(name) is not None:
        return line.strip()
    found = [word.name for word in vocabulary.words if word.name.startswith(name)]
    own = [one for one in found if "." not in one] or found
    return f"{own[0]}{blank}{rest}" if name and len(own) == 1 else None


def _rank(typed: str, word: Word) -> int | None:
    """Return how near a word is to what was typed, 0 is nearest; None where it is not meant."""
    name = word.name.lower()
    if name.startswith(typed):
        return 0
    if any(part.startswith(typed) for part in _parts(name)):
        return 1
    if any(part.startswith(typed) for part in word.help.lower().split()):
        return 2
    letters = iter(name)
    return 3 if all(letter in letters for letter in typed) else None


def _parts(name: str) -> Iterator[str]:
    for part in name.split("."):
        yield part
        yield from part.split("_")[1:]
