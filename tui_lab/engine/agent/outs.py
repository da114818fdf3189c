"""The outputs that a stage declares: globs, each of which must match a file when an attempt is done."""

import os

from tui_lab.engine.agent.attempt import Attempt
from tui_lab.engine.agent.text import decode, encode
from tui_lab.portable.beneath import Entry
from tui_lab.portable.globs import matcher


def missing_outs(attempt: Attempt) -> str:
    """Return what is missing of an attempt's declared outputs; empty where nothing is."""
    left = {glob: matcher([glob]) for glob in attempt.message.get("outs") or ()}
    if not left:
        return ""
    try:
        with attempt.open_folder() as folder:
            for entry in folder.walk():
                name = decode(entry.path)
                for glob in [glob for glob, matches in left.items() if matches(name) and is_there(attempt, entry)]:
                    del left[glob]
                if not left:
                    return ""
    except FileNotFoundError:
        pass
    except OSError as error:
        return "its outputs can't be read: its folder %s" % error.strerror
    return "it left no file that matches %s" % ", ".join('"%s"' % glob for glob in left)


def is_there(attempt: Attempt, entry: Entry) -> bool:
    """Return whether an entry is a file, or a link to one; on a node that does not see the lab's folder, only a link
    within the task's folder, for others lead nowhere elsewhere."""
    if not entry.is_link:
        return entry.is_file
    top = os.path.realpath(encode(attempt.folder))
    target = os.path.realpath(os.path.join(top, entry.path))
    return os.path.exists(target) and (not attempt.message.get("collect") or target.startswith(top + b"/"))
