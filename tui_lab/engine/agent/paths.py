"""Paths on the node: those that the engine writes, as they are here."""

import os

from tui_lab.engine.agent.text import decode, encode


def expand(path: str) -> str:
    """Return a path with `~` as the user's home on this node, whatever it is on the engine's."""
    return os.path.expanduser(path) if path.startswith("~") else path


def lab_home(data, lab: str, node: str) -> str:
    """Return the folder for a lab's code and tasks on a node that does not see the lab's own folder. data: the folder
    for all labs, None for one in the user's cache."""
    if data is None:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        data = os.path.join(cache, "tui-lab")
    return os.path.join(os.path.abspath(expand(data)), ("%s-%s" % (lab, node)).replace("/", "_"))


def sees_lab(marker) -> bool:
    """Return whether this node has the lab's folder: the marker file is here, with the same content."""
    if not marker:
        return False
    try:
        with open(encode(marker["path"]), "rb") as file:
            return decode(file.read(1 << 16)) == marker["text"]
    except (OSError, ValueError):  # a NUL in its path
        return False
