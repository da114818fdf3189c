"""Globs of paths relative to a folder, as `keep`, `code` and `inputs` have them: `*` and `?` stay within a name, `**`
spans folders, and a folder that matches brings all that is in it."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def matcher(globs: "Sequence[str] | None") -> "Callable[[str], object]":
    """A function that tells whether a path matches one of the globs; None matches everything."""
    if globs is None:
        return lambda path: True
    if not globs:
        return lambda path: False
    return re.compile("(?s)(?:%s)(?:/.*)?\\Z" % "|".join(translate(glob) for glob in globs)).match


def translate(glob: str) -> str:
    """A glob as a regular expression."""
    glob = plain(glob) or "**"
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


def plain(glob: str) -> str:
    """A glob, or a path, without what changes nothing: `./a//b/` is `a/b`, and the folder itself is empty."""
    return "/".join(part for part in glob.split("/") if part not in ("", "."))
