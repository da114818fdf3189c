"""Which file a command's first word means, as a shell would find it, and why it can't be run."""

import os
import stat
import time

from tui_lab.engine.agent.processes import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit statuses, as shells have them
USUAL = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # where shells look without a PATH
GOOD_FOR = 1.0  # seconds that what was found is believed: looking at each start would cost as much as a fork
BUILT_IN = ("true", "false")  # every shell has these, the wrapper's, too
# Ends as a shell does that can't run a program: $1 says why, $2 is the status.
SAY = 'printf "%s\\n" "$1" >&2; exit "$2"'


class Programs:
    """Finds programs, and remembers them for a moment."""

    def __init__(self) -> None:
        self.found: Any = {}

    def runnable(self, argv: list, environment: dict, workdir: str, shell: str) -> list:
        """The words to execute for a program and its arguments: the same; those of a shell for a script that names no
        interpreter; or those that say why it can't be run."""
        if argv[0] in BUILT_IN:
            return argv
        name = encode(argv[0])
        path = environment.get(b"PATH", USUAL)
        key = (name, path, workdir)
        now = time.monotonic()
        until, file, status, why = self.found.get(key, (0.0, None, 0, ""))
        if until < now:
            if len(self.found) > 1000:
                self.found.clear()
            file, status, why = look(name, path, encode(workdir))
            if not status:
                self.found[key] = (now + GOOD_FOR, file, status, why)
        if status:
            return ["/bin/sh", "-c", SAY, "sh", "%s: %s" % (argv[0], why), str(status)]
        return argv if file is None else [shell, decode(file)] + argv[1:]


def look(name: bytes, path: bytes, workdir: bytes) -> tuple:
    """(script that a shell must read or None, exit status where it can't be run, why)."""
    if b"/" in name:
        tried = [name]
    else:
        tried = [os.path.join(folder, name) if folder else b"./" + name for folder in path.split(b":")]
    denied = False
    for file in tried:
        at = os.path.join(workdir, file)
        try:
            facts = os.stat(at)
        except OSError as error:
            if b"/" in name:
                return None, NOT_FOUND, error.strerror
            continue
        if stat.S_ISDIR(facts.st_mode):
            if b"/" in name:
                return None, NOT_EXECUTABLE, "Is a directory"
        elif os.access(at, os.X_OK):
            return interpreted(file, at, workdir)
        else:
            denied = True
    if denied:
        return None, NOT_EXECUTABLE, "Permission denied"
    return None, NOT_FOUND, "command not found (PATH is %s)" % (decode(path) or "empty")


def interpreted(file: bytes, at: bytes, workdir: bytes) -> tuple:
    """What `look` answers for a file that may be executed."""
    try:
        with open(at, "rb") as opened:
            head = opened.read(256)
    except OSError:
        return None, 0, ""  # it may be executed, not read
    if head[:2] == b"#!":
        words = head[2:].split(b"\n")[0].split()
        if words and not os.path.exists(os.path.join(workdir, words[0])):
            return None, NOT_FOUND, "its interpreter %s does not exist" % decode(words[0])
        return None, 0, ""
    # A file of text without a word on its interpreter: the kernel refuses it, and shells read it themselves.
    return (file if b"\0" not in head else None), 0, ""
