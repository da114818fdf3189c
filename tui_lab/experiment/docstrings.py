"""What a docstring says of arguments, in the styles of Google, NumPy and Sphinx."""

from __future__ import annotations

import re
from typing import Final

_GOOGLE: Final = re.compile(r"^(?:Args|Arguments|Parameters|Params|Keyword Args):\s*$")
_ENTRY: Final = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY: Final = re.compile(r"^(?:Other )?Parameters$")
_NUMPY_ENTRY: Final = re.compile(r"^(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")
_SPHINX: Final = re.compile(r"^:param(?:eter)?\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)$")


def helps(text: str) -> dict[str, str]:
    """Return what is said of each argument, on one line. text: a docstring without its indentation."""
    lines = text.splitlines()
    return {name: " ".join(said.split()) for name, said in (_sphinx(lines) | _numpy(lines) | _google(lines)).items()}


def _google(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    inside, name, depth = False, "", 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if _GOOGLE.match(line.strip()) and not indent:
            inside, name, depth = True, "", 0
        elif inside and line.strip() and not indent:
            inside = False
        elif inside and line.strip():
            entry = _ENTRY.match(line.strip())
            depth = depth or indent
            if entry and indent == depth:
                name, found[entry[1]] = entry[1], entry[2]
            elif name:
                found[name] += f" {line.strip()}"
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    inside, names = False, [""]
    for number, line in enumerate(lines):
        underlined = number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1].strip()) is not None
        if underlined:
            inside, names = _NUMPY.match(line.strip()) is not None, [""]
        elif inside and line.strip() and not re.fullmatch(r"-{3,}", line.strip()):
            if line[0] != " " and (entry := _NUMPY_ENTRY.match(line)):
                names = [name.strip() for name in entry[1].split(",")]
                found |= dict.fromkeys(names, "")
            else:
                for name in filter(None, names):
                    found[name] += f" {line.strip()}"
    return found


def _sphinx(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        if entry := _SPHINX.match(line.strip()):
            name, found[entry[1]] = entry[1], entry[2]
        elif line.strip().startswith(":") or not line.strip():
            name = ""
        elif name:
            found[name] += f" {line.strip()}"
    return found
