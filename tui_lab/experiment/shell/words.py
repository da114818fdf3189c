"""Reads what stands inside the words of a shell command: quotes and expansions.

The reader follows POSIX and bash far enough to know, at each placeholder, which quotes are open; what it is not sure of
it refuses. tree-sitter-bash can't take its place: placeholders are no shell syntax, so it ends `"${X:-{name}}"` within
the placeholder, finds errors in `$(({name} + 1))`, and guesses on where it finds one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tui_lab.experiment.shell.reader import Reader
from tui_lab.experiment.shell.text import Code, Part, Place, State, Syntax, Text

# ${NAME, then an operator whose word may hold a placeholder: a default, or a prefix or suffix to cut off.
_PARAMETER = re.compile(r"\$\{(?:\w+|[@*])(?:\[[@*\w]+\])?(:?[-=?+]|##?|%%?)", re.ASCII)
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|[0-9@*#?$!-])", re.ASCII)
_OLD_ARITHMETIC = re.compile(r"\$\[[^\]\"'`\n]*\]")
_BACKQUOTED = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL)
_HOME = re.compile(r"~[\w.+-]*/?", re.ASCII)
_CLASS = re.compile(r"\[[^\]\s'\"\\$`{}(]*\]")
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./^!#-]+")
_IN_SINGLE = re.compile(r"[^'{]+")
_IN_DOUBLE = re.compile(r'[^"\\$`{]+')
_IN_ANSI = re.compile(r"[^'\\{]+")
_IN_BRACE = re.compile(r"[^}\\'\"$`{]+")
_IN_ARITHMETIC = re.compile(r"[^(){$`\\]+")


class WordReader(Reader):
    """Reads one piece of a word after the other."""

    def script(self, opened_at: int | None) -> None:
        """Reads commands up to the end or, inside `$(` opened at that place, past the closing `)`."""
        raise NotImplementedError

    def piece(self) -> None:
        """Reads the next piece of a word, outside quotes."""
        character = self.peek()
        match character:
            case "'":
                self._single()
            case '"':
                self._double()
            case "\\":
                self._backslash()
            case "$":
                self._dollar(quoted=False)
            case "`":
                self._backquotes(quoted=False)
            case "{":
                self.placeholder("bare")
            case "*" | "?":
                self._expansion(1)
            case "[":
                self._expansion(self.matched(_CLASS) or 1)
            case "~" if self.position == self.word_start or self.text[self.position - 1] in "=:":
                self._expansion(self.matched(_HOME))
            case "]":
                self.literal(1)
            case _:
                safe = self.matched(_SAFE)
                self.literal(safe or 1, plain=safe > 0)

    def _expansion(self, length: int, quoted: bool = False) -> None:
        self.add(Code((Syntax(self.peek(length)),), quoted), length)

    def _code(self, read: Callable[[], object], quoted: bool) -> None:
        self.parts.append(Code(self.collect(read), quoted))

    # --- Quotes

    def _mark(self) -> None:
        """Reads a quote character, which the program does not receive."""
        self.add(Text(self.peek(), ""), 1)

    def _single(self) -> None:
        start = self.position
        self._mark()
        while (character := self.peek()) != "'":
            if character == "{":
                self.placeholder("single")
            elif run := self.matched(_IN_SINGLE):
                self.literal(run)
            else:
                raise self.unclosed("a single quote", start)
        self._mark()

    def _double(self, state: State = "double") -> None:
        start = self.position
        self._mark()
        while (character := self.peek()) != '"':
            if character == "{":
                self.placeholder(state)
            elif character == "\\":
                self._backslash_in_double()
            elif character == "$":
                self._dollar(quoted=True)
            elif character == "`":
                self._backquotes(quoted=True)
            elif run := self.matched(_IN_DOUBLE):
                self.literal(run)
            else:
                raise self.unclosed("a double quote", start)
        self._mark()

    def _ansi(self) -> None:
        start = self.position
        self.syntax(2)
        while (character := self.peek()) != "'":
            if character == "{":
                self.placeholder("ansi")
            elif character == "\\":
                self.syntax(2)
            elif run := self.matched(_IN_ANSI):
                self.syntax(run)
            else:
                raise self.unclosed("$' ", start)
        self.syntax(1)

    def _backslash(self) -> None:
        pair = self.peek(2)
        if len(pair) < 2:
            self.literal(1, plain=False)
        else:
            self.add(Text(pair, "" if pair == "\\\n" else pair[1]), 2)

    def _backslash_in_double(self) -> None:
        pair = self.peek(2)
        if pair[1:] in ("$", "`", '"', "\\"):
            self.add(Text(pair, pair[1]), 2)
        elif pair == "\\\n":
            self.add(Text(pair, ""), 2)
        else:
            self.literal(1)

    # --- Expansions

    def _dollar(self, quoted: bool) -> None:
        following = self.peek(3)[1:]
        if following == "((" and self.arithmetic(3, quoted):
            return
        if following[:1] == "(":
            self._code(self._substitution, quoted)
        elif following[:1] == "{":
            self._code(lambda: self._parameter(quoted), quoted)
        elif following[:1] == "'" and not quoted:
            self._code(self._ansi, quoted)
        elif following[:1] == '"' and not quoted:
            self._expansion(1)
            self._double()
        elif old := self.matched(_OLD_ARITHMETIC):
            end = self.position + old
            self._code(lambda: self.only_raw(end, "$[...]: write $((...))"), quoted)
        elif name := self.matched(_VARIABLE):
            self._expansion(name, quoted)
        else:
            self.literal(1, plain=False)

    def _substitution(self) -> None:
        start = self.position
        self.syntax(2)
        self.script(start)

    def _parameter(self, quoted: bool) -> None:
        start = self.position
        head = _PARAMETER.match(self.text, start)
        # What is cut off is a pattern, in which quotes count even if the whole is in double quotes.
        pattern = head is not None and head[1][0] in "#%"
        double = quoted and not pattern
        state: State = "pattern" if pattern else "default" if double else "bare"
        self.syntax(2 if head is None else len(head[0]))
        first = len(self.parts)
        while (character := self.peek()) != "}":
            if character == "{":
                self.placeholder(state, closing="\\}")
            elif character == "\\":
                self.syntax(2)
            elif character == "'" and not double:
                self._single()
            elif character == '"':
                self._double("default" if quoted else "double")
            elif character == "$":
                self._dollar(quoted=double)
            elif character == "`":
                self._backquotes(double)
            elif run := self.matched(_IN_BRACE):
                self.syntax(run)
            elif character:
                self.syntax(1)
            else:
                raise self.unclosed("${", start)
        self.syntax(1)
        if head is None:
            hint = "give it to a variable first: value={NAME}, and use $value"
            self.refuse_values(first, "a value cannot be passed safely in this kind of ${...}", hint)

    def _backquotes(self, quoted: bool) -> None:
        length = self.matched(_BACKQUOTED)
        if not length:
            raise self.unclosed("a backquote", self.position)
        end = self.position + length
        self._code(lambda: self.only_raw(end, "backquotes: use $(...)"), quoted)

    def arithmetic(self, opening: int, quoted: bool = False) -> bool:
        """Reads `((...))` after an opening of that many characters; nothing if it turns out to be `( (`."""
        start = self.position
        closed = False

        def read() -> None:
            nonlocal closed
            self.syntax(opening)
            closed = self._expression()

        parts = self.collect(read)
        if closed:
            self.parts.append(Code(tuple(map(numeric, parts)), quoted))
        else:
            self.position = start
        return closed

    def _expression(self) -> bool:
        depth = 0
        while character := self.peek():
            if character == ")" and depth == 0:
                closes = self.peek(2) == "))"
                self.syntax(2)
                return closes
            if character in "()":
                depth += 1 if character == "(" else -1
                self.syntax(1)
            elif character == "{":
                self.placeholder("number")
            elif character == "$":
                self._dollar(quoted=True)
            elif character == "`":
                self._backquotes(quoted=True)
            else:
                self.syntax(self.matched(_IN_ARITHMETIC) or 2)
        return False


def numeric(part: Part) -> Part:
    """`part` where bash evaluates it as an expression: its values must be numbers."""
    if isinstance(part, Place):
        return replace(part, numeric=True)
    if isinstance(part, Code) and isinstance(part.parts[0], Syntax) and part.parts[0].source.startswith("${"):
        return replace(part, parts=tuple(map(numeric, part.parts)))
    return part
