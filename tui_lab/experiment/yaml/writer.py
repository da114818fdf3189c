"""Plain values as YAML 1.2 that reads back as the same values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tui_lab.experiment.yaml.parser import resolve

_PLAIN: Final = re.compile(r"[A-Za-z_./~](?:[A-Za-z0-9_./+~:-]*[A-Za-z0-9_./+~-])?")
"""Texts that need no quotes, if they are no other value."""
_INVISIBLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_BLOCK: Final = re.compile(r"[^\s].*(\n([^\s].*|  *[^\s].*)?)*[^\s]\n?")  # lines that a block scalar keeps as they are
_DEEP: Final = 2
"""Levels of mappings that are written a key a line; those within stand on one line."""


def write_yaml(mapping: Mapping[str, Any]) -> str:
    """Return the text of a mapping of None, bool, int, float, str, lists, and mappings with text keys."""
    return "".join(_lines(mapping, 0))


def _lines(mapping: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value and depth + 1 < _DEEP:
            yield f"{indent}{_text(key)}:\n"
            yield from _lines(value, depth + 1)
        elif isinstance(value, str) and "\n" in value.rstrip("\n") and _is_block(value):
            end = "" if value.endswith("\n") else "-"
            yield f"{indent}{_text(key)}: |{end}\n"
            yield from (f"{indent}  {line}\n" if line else "\n" for line in value.removesuffix("\n").split("\n"))
        else:
            yield f"{indent}{_text(key)}: {one_line(value)}\n"


def _is_block(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text) and _BLOCK.fullmatch(text) is not None


def one_line(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {one_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(one_line, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and isinstance(resolve(text), str):
        return text
    if text.isprintable() and "'" not in text and text:
        return f"'{text}'"
    quoted = json.dumps(text, ensure_ascii=False)
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
