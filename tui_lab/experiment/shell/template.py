"""Text files with placeholders, and the other plain texts that take them: variables, timeouts.

Nothing is quoted here. `{name}` is the value's text, `{name:.3e}` the value in one of Python's formats,
`{{name}}` the text `{name}`; `${name}` is left alone. Where braces mean something else, two marks take their
place: with "#" and "#", `#name#`, `#name:.3e#` and, for the text itself, `##name##`. What holds no known name
is left alone. Values are not searched again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tui_lab.experiment.render import RenderError, Value, plain_text
from tui_lab.experiment.shell.placeholders import NAME, PlaceholderError, braces_at, near_miss

Marks = tuple[str, str]

# Python's format specification, but for a leading blank: `{x: 1}` is a YAML or JavaScript mapping.
_FORMAT = re.compile(r"(?:.?[<>=^])?[-+]?z?#?0?\d*[,_]?(?:\.\d+)?[bcdeEfFgGnosxX%]?")
_LIKE_A_FORMAT = re.compile(r"[<>=^+.0-9,_#-]")


class TemplateError(PlaceholderError):
    """A mistake in a text with placeholders, or a value that cannot be written there."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A placeholder from `start` to `end`; or, where `literal` is not None, the text that stands for one."""

    name: str
    spec: str | None
    start: int
    end: int
    wrap: str
    literal: str | None


def fill(
    text: str,
    values: Mapping[str, Value],
    marks: Marks | None = None,
    known: Collection[str] | None = None,
) -> str:
    """`text` with its placeholders replaced by the values. `known` is by default the names of the values.

    Raises TemplateError, with its offset in `text`, for a name that is nearly a known one, a missing value,
    null, and a format that does not suit the value.
    """
    pieces = []
    position = 0
    for found in _find(text, values if known is None else known, marks):
        pieces.append(text[position : found.start])
        filled = found.literal if found.literal is not None else _format(found, values)
        pieces.append(found.wrap[: len(found.wrap) // 2] + filled + found.wrap[len(found.wrap) // 2 :])
        position = found.end
    return "".join((*pieces, text[position:]))


def names_in(text: str, known: Collection[str], marks: Marks | None = None) -> frozenset[str]:
    """The known names whose values `text` takes. Raises TemplateError for one that is nearly known."""
    return frozenset(found.name for found in _find(text, known, marks) if found.literal is None)


def _format(found: _Found, values: Mapping[str, Value]) -> str:
    if found.name not in values:
        raise TemplateError(f"there is no value for {found.name}", found.start)
    value = values[found.name]
    try:
        if found.spec in (None, "", "raw") or value is None:
            return plain_text(value)
        return format(value, found.spec or "")
    except RenderError as error:
        raise TemplateError(f"the value of {found.name} {error}", found.start) from None
    except (ValueError, TypeError, OverflowError) as error:
        message = f"the value of {found.name}, {str(value)[:40]!r}, does not take the format {found.spec!r}"
        raise TemplateError(message, found.start, str(error)) from None


def _find(text: str, known: Collection[str], marks: Marks | None) -> Iterator[_Found]:
    for found in _in_braces(text) if marks is None else _in_marks(text, marks):
        if _means_something(found, known, marks or ("{", "}")):
            yield found


def _means_something(found: _Found, known: Collection[str], marks: Marks) -> bool:
    """Whether this is a placeholder or a doubled one; raises TemplateError where it nearly is."""
    opening, closing = marks
    spec = found.spec
    is_format = spec is None or spec == "raw" or _FORMAT.fullmatch(spec) is not None
    if found.name in known:
        if not is_format and found.literal is None and _LIKE_A_FORMAT.match(spec or ""):
            hint = "Python's formats look like .3e, 5d or >8"
            raise TemplateError(f"{spec!r} is not a format", found.start, hint)
        return is_format
    similar = near_miss(found.name, known)
    if similar is None or not is_format:
        return False
    if found.literal is None:
        suffix = "" if spec is None else f":{spec}"
        text = f"{opening}{found.name}{suffix}{closing}"
        intended = f"{opening}{similar}{suffix}{closing}"
        raise TemplateError.misspelt(text, intended, f"{opening}{text}{closing}", found.start)
    return True


def _in_braces(text: str) -> Iterator[_Found]:
    position = text.find("{")
    while position >= 0:
        braces = None if text[max(0, position - 1)] == "$" else braces_at(text, position)
        if braces is not None:
            wrap = "{" * braces.wrap + "}" * braces.wrap
            yield _Found(braces.name, braces.spec, braces.start, braces.end, wrap, braces.literal)
            end = braces.end
        else:
            end = position
            while text.startswith("{", end):
                end += 1
        position = text.find("{", end)


def _in_marks(text: str, marks: Marks) -> Iterator[_Found]:
    opening, closing = map(re.escape, marks)
    inner = rf"({NAME})(?::((?:(?!{closing})[^\n])*))?"
    pattern = re.compile(f"{opening}{opening}{inner}{closing}{closing}|{opening}{inner}{closing}")
    position = 0
    while match := pattern.search(text, position):
        doubled = match[1] is not None
        name, spec = (match[1], match[2]) if doubled else (match[3], match[4])
        literal = match[0][len(marks[0]) : -len(marks[1])] if doubled else None
        yield _Found(name, spec, match.start(), match.end(), "", literal)
        position = match.end()
