"""A position in a shell command, and what every part of reading one needs: characters and placeholders."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from tui_lab.experiment.shell.placeholders import Braces, PlaceholderError, braces_at, near_miss
from tui_lab.experiment.shell.text import Code, Part, Place, Raw, State, Syntax, Text


class CommandError(PlaceholderError):
    """A mistake in a command, or a value that a command cannot take."""


_OPENING = re.compile(r"\{+")
_FORMAT = re.compile(r"0?\d*\.\d+[eEfFgG%]|0\d+d")
_SUBSCRIPT = re.compile(r"([A-Za-z_]\w*)?\[[^\]]*", re.ASCII)


class Reader:
    """Reads `text` from `position` on into `parts`.

    `word_start` is where the current word began, `expects_command` whether it is the name of a command.
    """

    def __init__(self, text: str, known: Collection[str]) -> None:
        self.text = text
        self.known = known
        self.position = 0
        self.parts: list[Part] = []
        self.word_start = 0
        self.expects_command = True

    def peek(self, length: int = 1) -> str:
        """Return the next characters without reading them."""
        return self.text[self.position : self.position + length]

    def matched(self, pattern: re.Pattern[str]) -> int:
        """How many characters from here on match."""
        match = pattern.match(self.text, self.position)
        return 0 if match is None else len(match[0])

    def add(self, part: Part, length: int) -> None:
        """Add a part that takes the next `length` characters."""
        self.parts.append(part)
        self.position += length

    def literal(self, length: int, plain: bool = True) -> None:
        """Add the next characters as text. plain: without a meaning to the shell."""
        source = self.peek(length)
        self.add(Text(source, source, plain), length)

    def syntax(self, length: int) -> None:
        """Add the next characters as syntax of the shell."""
        self.add(Syntax(self.peek(length)), length)

    def collect(self, read: Callable[[], object]) -> tuple[Part, ...]:
        """What `read` reads, apart from the parts before it."""
        outer = self.parts, self.word_start, self.expects_command
        self.parts = []
        try:
            read()
            return tuple(self.parts)
        finally:
            self.parts, self.word_start, self.expects_command = outer

    def unclosed(self, what: str, start: int) -> CommandError:
        """Return the error for a quote or bracket that is never closed."""
        return CommandError(f"{what} opens here and is never closed", start)

    def placeholder(self, state: State, closing: str = "}") -> None:
        """Reads the braces at the position: a placeholder, doubled braces, or just characters.

        `closing` is how a literal `}` is written here.
        """
        plain = state != "bare"
        braces = self._braces()
        if braces is None:
            self.literal(self.matched(_OPENING), plain)
            return
        if braces.start > self.position:
            self.literal(braces.start - self.position, plain)
        if braces.literal is not None:
            self.parts.append(Text(braces.literal.replace("}", closing), braces.literal, plain))
        else:
            value = self._value(braces, state)
            if state in ("double", "default") and self.parts[-1:] == [Text("\\", "\\")]:
                # Just a backslash, but it must not meet the $ that the placeholder turns into.
                self.parts[-1] = Text("\\\\", "\\")
            if braces.wrap:
                self.parts.append(Text("{" * braces.wrap, "{" * braces.wrap, plain))
            self.parts.append(value)
            if braces.wrap:
                self.parts.append(Text(closing * braces.wrap, "}" * braces.wrap, plain))
        self.position = braces.end

    def _braces(self) -> Braces | None:
        """The braces at the position if they mean something; raises CommandError where they nearly do."""
        if self.position and self.text[self.position - 1] == "$":
            return None  # ${name} belongs to the shell, also to another one that reads it later
        braces = braces_at(self.text, self.position)
        if braces is None:
            return None
        if braces.name in self.known:
            return self._with_spec(braces)
        similar = near_miss(braces.name, self.known)
        if similar is None or braces.spec not in (None, "raw"):
            return None
        if braces.literal is None:
            suffix = ":raw" if braces.spec else ""
            found, intended = f"{{{braces.name}{suffix}}}", f"{{{similar}{suffix}}}"
            raise CommandError.misspelt(found, intended, f"{{{found}}}", braces.start + braces.wrap)
        return braces

    def _with_spec(self, braces: Braces) -> Braces | None:
        if braces.spec is None or braces.spec == "raw":
            return braces
        if _FORMAT.fullmatch(braces.spec) is None or braces.literal is not None:
            return None
        raise CommandError(
            f"a command takes no format such as {braces.spec}",
            braces.start + braces.wrap,
            f"write {{{braces.name}}}; `derive` can round it, and templates under `files` take formats",
        )

    def _value(self, braces: Braces, state: State) -> Place | Raw:
        offset = braces.start + braces.wrap
        if braces.spec == "raw":
            return Raw(braces.name, offset)
        after = self.text[braces.end : braces.end + 3]
        exposed = (
            (self.expects_command and braces.start == self.word_start)
            or after[:1] in ("<", ">")
            or bool(self.parts and isinstance(self.parts[-1], Code))
            or "{" in self.text[self.word_start : offset]
        )
        subscript = _SUBSCRIPT.fullmatch(self.text, self.word_start, braces.start)
        assigned = after.startswith(("]=", "]+="))
        numeric = state == "number" or (subscript is not None and (assigned or bool(subscript[1])))
        return Place(braces.name, offset, state, exposed, numeric)

    def refuse_values(self, first: int, message: str, hint: str) -> None:
        """Raises CommandError if a value stands among the parts from index `first` on.

        `hint` holds NAME where the parameter is to be named."""
        for part in self.parts[first:]:
            if isinstance(part, Place):
                raise CommandError(message, part.offset, hint.replace("NAME", part.name))

    def only_raw(self, end: int, where: str) -> None:
        """Reads up to `end` what the shell reads by rules of its own, where only `{name:raw}` can stand."""
        first = len(self.parts)
        while self.position < end:
            if self.peek() == "{":
                self.placeholder("bare")
            else:
                stop = self.text.find("{", self.position, end)
                self.syntax((end if stop < 0 else stop) - self.position)
        hint = "write {NAME:raw} for its plain text, which the shell then reads as code"
        self.refuse_values(first, f"a value cannot be passed safely in {where}", hint)
