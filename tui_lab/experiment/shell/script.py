"""Reads a shell script: words, flags and groups, operators, `case`, `[[ ]]`, comments, here-documents."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from tui_lab.experiment.shell.placeholders import NAME, near_miss
from tui_lab.experiment.shell.reader import CommandError
from tui_lab.experiment.shell.text import Blank, Code, Flag, Group, Part, Place, Raw, Syntax, walk
from tui_lab.experiment.shell.words import WordReader, numeric

_BLANK = re.compile(r"(?:[ \t]|\\\n)+")
_GAP = re.compile(r"(?:\\\n)*[ \t](?:[ \t]|\\\n)*")  # ends a word, which the end of a line alone does not
_COMMENT = re.compile(r"#[^\n]*")
_WORD_END = re.compile(r"(?=[ \t\n;&|<>()]|\\\n[ \t\n]|\Z)")
_FLAG = re.compile(rf"\[({NAME})\]{_WORD_END.pattern}")
_DOUBLED_FLAG = re.compile(rf"\[(\[{NAME}\])\]{_WORD_END.pattern}")
_REDIRECTION = re.compile(r"&>>?|<>|<<<|[<>]&|>>|>\||[<>]")
_HERE_DOCUMENT = re.compile(r"""<<(-?)[ \t]*((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s;&|<>()'"\\])+)""", re.DOTALL)
_SEPARATOR = re.compile(r";;&|;;|;&|;|&&|&|\|\||\|&|\|")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=", re.ASCII)
# After these, the next word is the name of a command again.
_OPENERS = frozenset(
    ["then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "fi", "done", "time", "coproc"]
)
_COMPARISONS = frozenset(["-eq", "-ne", "-lt", "-le", "-gt", "-ge"])

# Where the reader is: in ( ), in [[ ]], or in a `case`: at its word, at `in`, at a pattern, in commands
# for it.
_Context = Literal["(", "[[", "word", "in", "pattern", "body"]


@dataclass
class _Frame:
    """What is open in one script; each `$(` begins another."""

    contexts: list[_Context] = field(default_factory=list)
    redirected: bool = False
    pattern_begins: bool = False
    pattern_depth: int = 0
    last_word: str = ""
    here_documents: list[tuple[str, bool]] = field(default_factory=list)
    operand: tuple[int, int] = (0, 0)
    compares: bool = False

    @property
    def top(self) -> _Context | None:
        return self.contexts[-1] if self.contexts else None


def read_script(text: str, known: Collection[str]) -> tuple[Part, ...]:
    """The parts of the shell script `text`, in which `known` names are placeholders. Raises CommandError."""
    reader = _ScriptReader(text, known)
    reader.script(None)
    return tuple(reader.parts)


class _ScriptReader(WordReader):
    def __init__(self, text: str, known: Collection[str]) -> None:
        super().__init__(text, known)
        self.frame = _Frame()
        self.nested_at = -1

    def script(self, opened_at: int | None) -> None:
        outer, self.frame = self.frame, _Frame()
        self.expects_command = True
        while not self._item(opened_at is not None):
            pass
        if opened_at is not None and not self.text.startswith(")", self.position - 1):
            raise self.unclosed("$(", opened_at)
        self.frame = outer

    def _item(self, nested: bool) -> bool:
        """Reads a blank, comment, operator or word; True at the end of the script."""
        character = self.peek()
        if not character:
            return True
        if blank := self.matched(_BLANK):
            self.add(Blank(self.peek(blank)), blank)
        elif character == "\n":
            self._newline()
        elif character == "#":
            self.syntax(self.matched(_COMMENT))
        elif character == "(":
            self._open()
        elif character == ")":
            return self._close(nested)
        elif character in ";&|<>":
            self._operator()
        else:
            self._word()
        return False

    # --- Operators

    def _newline(self) -> None:
        self.syntax(1)
        self.frame.redirected = False
        self.expects_command = self.frame.top not in ("word", "in", "pattern", "[[")
        for delimiter, indented in self.frame.here_documents:
            self._here_document(delimiter, indented)
        self.frame.here_documents.clear()

    def _here_document(self, delimiter: str, indented: bool) -> None:
        end = self.position
        while end < len(self.text):
            line = self.text[end:].partition("\n")[0]
            if (line.lstrip("\t") if indented else line) == delimiter:
                self.only_raw(end, "a here-document")
                self.syntax(len(line) + 1)
                return
            end += len(line) + 1
        self.only_raw(len(self.text), "a here-document")

    def _open(self) -> None:
        frame = self.frame
        frame.redirected = False
        calculates = self.peek(2) == "((" and (self.expects_command or frame.last_word == "for")
        if calculates and frame.top not in ("pattern", "[[") and self.arithmetic(2):
            self.expects_command = False
            return
        self.syntax(1)
        if frame.top == "pattern":
            frame.pattern_depth += not frame.pattern_begins
            frame.pattern_begins = False
        elif frame.top != "[[":
            frame.contexts.append("(")
            self.expects_command = True

    def _close(self, nested: bool) -> bool:
        frame = self.frame
        self.syntax(1)
        if frame.top == "pattern":
            if frame.pattern_depth:
                frame.pattern_depth -= 1
            else:
                frame.contexts[-1] = "body"
                self.expects_command = True
        elif frame.top == "(":
            frame.contexts.pop()
            self.expects_command = True
        elif frame.top != "[[":
            return nested
        return False

    def _operator(self) -> None:
        frame = self.frame
        if frame.top == "[[":
            self.syntax(1)
            return
        here = _HERE_DOCUMENT.match(self.text, self.position)
        if here is not None and self.peek(3) != "<<<":
            delimiter = re.sub(r"\\(.)|['\"]", r"\1", here[2], flags=re.DOTALL)
            frame.here_documents.append((delimiter, bool(here[1])))
            self.syntax(len(here[0]))
        elif redirection := self.matched(_REDIRECTION):
            self.syntax(redirection)
            frame.redirected = True
        else:
            separator = self.peek(self.matched(_SEPARATOR))
            self.syntax(len(separator))
            frame.redirected = False
            if frame.top == "body" and separator in (";;", ";&", ";;&"):
                frame.contexts[-1] = "pattern"
                frame.pattern_begins = True
            self.expects_command = frame.top != "pattern"

    # --- Words

    def _word(self) -> None:
        start = self.word_start = self.position
        first = len(self.parts)
        if self.peek() != "[" or self.frame.top in ("pattern", "[[") or not self._bracketed():
            while self.peek() not in ("", *" \t\n;&|<>()"):
                self.piece()
        self._word_ends(self.text[start : self.position], first)

    def _word_ends(self, word: str, first: int) -> None:
        frame = self.frame
        frame.last_word = word
        if frame.redirected:
            frame.redirected = False
            return
        match frame.top:
            case "[[":
                self._operand(word, first)
            case "word":
                frame.contexts[-1] = "in"
            case "in":
                frame.contexts[-1] = "pattern"
                frame.pattern_begins = True
            case "pattern":
                if word == "esac" and frame.pattern_begins:
                    frame.contexts.pop()
                    self.expects_command = True
                frame.pattern_begins = False
            case _ if self.expects_command:
                self._command_name(word)

    def _command_name(self, word: str) -> None:
        contexts = self.frame.contexts
        if word == "case":
            contexts.append("word")
        elif word == "[[":
            contexts.append("[[")
        elif word == "esac" and self.frame.top == "body":
            contexts.pop()
            return
        self.expects_command = word in _OPENERS or _ASSIGNMENT.match(word) is not None

    def _operand(self, word: str, first: int) -> None:
        """In [[ ]], bash evaluates the operands of -eq and its kin, and what -v names."""
        frame = self.frame
        if word == "]]":
            frame.contexts.pop()
            frame.compares = False
            return
        if frame.compares:
            self.parts[first:] = map(numeric, self.parts[first:])
        if word in _COMPARISONS:
            before, after = frame.operand
            self.parts[before:after] = map(numeric, self.parts[before:after])
        frame.compares = word in _COMPARISONS or word in ("-v", "-R")
        frame.operand = (first, len(self.parts))

    def _bracketed(self) -> bool:
        """Reads `[name]`, `[[name]]` or a group; nothing if the bracket is something else."""
        start = self.position
        if flag := _FLAG.match(self.text, start):
            name = flag[1]
            similar = near_miss(name, self.known)
            if similar is not None:
                raise CommandError.misspelt(flag[0], f"[{similar}]", f"[{flag[0]}]", start)
            if name not in self.known:
                return False
            self._not_a_target(flag[0])
            self.add(Flag(name, start), len(flag[0]))
            return True
        if doubled := _DOUBLED_FLAG.match(self.text, start):
            name = doubled[1][1:-1]
            if name not in self.known and near_miss(name, self.known) is None:
                return False
            self.add(Code((Syntax(doubled[1]),), quoted=False), len(doubled[0]))
            return True
        return self.peek(2)[1:] not in ("", " ", "\t", "\n", "[") and self._group()

    def _group(self) -> bool:
        start = self.position
        closed = False

        def read() -> None:
            nonlocal closed
            self.position += 1
            closed = self._group_words()

        parts = self.collect(read)
        names = tuple(dict.fromkeys(p.name for p, _ in walk(parts) if isinstance(p, Place | Raw)))
        if names and not closed and self.text.startswith("[-", start):
            hint = "it belongs at the end of a word, on the same line and in the same command"
            raise CommandError("this [ has no ] that closes it", start, hint)
        if not (names and closed):
            self.position = start
            return False
        if self.nested_at > start:
            raise CommandError("brackets within brackets", self.nested_at, "groups do not nest: quote this word")
        self._not_a_target("[...]")
        self.parts.append(Group(parts, names, start))
        return True

    def _group_words(self) -> bool:
        depth = 0
        self.word_start = self.position
        while (character := self.peek()) and character not in "\n;&|<>()":
            before = self.position
            if blank := self.matched(_BLANK if before == self.word_start else _GAP):
                self.add(Blank(self.peek(blank)), blank)
                self.word_start = self.position
            elif character == "]" and depth == 0 and _WORD_END.match(self.text, before + 1):
                self.position += 1
                return True
            else:
                if character == "[" and before == self.word_start:
                    self.nested_at = before
                self.piece()
                if character in "[]" and self.position == before + 1:
                    depth = max(0, depth + (1 if character == "[" else -1))
        return False

    def _not_a_target(self, what: str) -> None:
        if self.frame.redirected:
            hint = "a file can't be left out: write {name}"
            raise CommandError(f"{what} cannot be the target of a redirection", self.position, hint)
