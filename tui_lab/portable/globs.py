"""Globs of paths relative to a folder, for `keep`, `code` and `inputs`.

`*` and `?` match within a name, `**` matches across folders, and a folder that matches includes its content."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def matcher(globs: "Sequence[str] | None") -> "Callable[[str], object]":
    """Return a function that tells whether a path matches one of the globs. None matches everything."""
    if globs is None:
        return lambda path: True
    if not globs:
        return lambda path: False
    return re.compile("(?s)(?:%s)(?:/.*)?\\Z" % "|".join(translate(glob) for glob in globs)).match


def translate(glob: str) -> str:
    """Return a glob as a regular expression."""
    glob = normalize(glob) or "**"
    parts = []
    position = 0
    while position < len(glob):
        rest = glob[position:]
        bracket = re.match(r"\[(!?)(\]?[^\]]*)\]", rest)
        if rest.startswith("**/"):
            parts.append("(?:[^/]+/)*")
            position += 3
        elif rest.startswith("**"):
            parts.append(".*")
            position += 2
        elif bracket:
            inside = bracket.group(2).replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            parts.append("[%s%s]" % ("^/" if bracket.group(1) else "", re.sub(r"^\]", r"\\]", inside)))
            position += bracket.end()
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(rest[0]) or re.escape(rest[0]))
            position += 1
    return "".join(parts)


def normalize(glob: str) -> str:
    """Return a glob or path without redundant parts: `./a//b/` is `a/b`, and the folder itself is empty."""
    return "/".join(part for part in glob.split("/") if part not in ("", "."))
