"""Which file a command's first word means, as a shell would find it, and why it can't be run."""

import os
import stat
import time

from tui_lab.engine.agent.text import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit statuses, as shells have them
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # where shells look without a PATH
CACHE_FOR = 1.0  # seconds that what was found is believed: looking at each start would cost as much as a fork
BUILTINS = ("true", "false")  # every shell has these, whatever its path
SH = b"/bin/sh"
# Ends as a shell does that can't run a program: $1 says why, $2 is the status.
PRINT_AND_EXIT = 'printf "%s\\n" "$1" >&2; exit "$2"'


class ProgramFinder:
    """Finds programs, and remembers them for a moment."""

    def __init__(self) -> None:
        self.found: Any = {}

    def runnable(self, argv: list, environment: dict, workdir: str, shell: str) -> tuple:
        """(file to execute, words) for a program and its arguments: the same words; those of a shell for a script that
        names no interpreter; or those that say why it can't be run."""
        name = encode(argv[0])
        path = environment.get(b"PATH", DEFAULT_PATH)
        key = (name, path, workdir)
        now = time.monotonic()
        until, file, is_text, status, why = self.found.get(key, (0.0, b"", False, 0, ""))
        if until < now:
            if len(self.found) > 1000:
                self.found.clear()
            file, is_text, status, why = find(name, path, encode(workdir))
            if not status:
                self.found[key] = (now + CACHE_FOR, file, is_text, status, why)
        if status and argv[0] in BUILTINS:
            return SH, ["sh", "-c", '"$@"', "sh"] + argv
        if status:
            return failing_command(argv[0], why, status)
        if not is_text:
            return file, argv
        if argv[0] == shell:
            return SH, ["sh", decode(file)] + argv[1:]
        return self.runnable([shell, decode(file)] + argv[1:], environment, workdir, shell)


def failing_command(name: str, why: str, status: int) -> tuple:
    """(file to execute, words) of what ends as a shell does that can't run a program."""
    return SH, ["sh", "-c", PRINT_AND_EXIT, "sh", "%s: %s" % (name, why), str(status)]


def find(name: bytes, path: bytes, workdir: bytes) -> tuple:
    """(its file, whether it is a script that a shell must read, exit status where it can't be run, why)."""
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
                return file, False, NOT_FOUND, error.strerror
            continue
        if stat.S_ISDIR(facts.st_mode):
            if b"/" in name:
                return file, False, NOT_EXECUTABLE, "Is a directory"
        elif os.access(at, os.X_OK):
            return (file,) + check_file(at, workdir)
        else:
            denied = True
    if denied:
        return name, False, NOT_EXECUTABLE, "Permission denied"
    return name, False, NOT_FOUND, "command not found (PATH is %s)" % (decode(path) or "empty")


def check_file(at: bytes, workdir: bytes) -> tuple:
    """What `look` answers for a file that may be executed, but for the file."""
    try:
        with open(at, "rb") as opened:
            head = opened.read(256)
    except OSError:
        return False, 0, ""  # it may be executed, not read
    if head[:2] == b"#!":
        words = head[2:].split(b"\n")[0].split()
        if words and not os.path.exists(os.path.join(workdir, words[0])):
            return False, NOT_FOUND, "its interpreter %s does not exist" % decode(words[0])
        return False, 0, ""
    # A file of text without a word on its interpreter: the kernel refuses it, and shells read it themselves.
    return b"\0" not in head, 0, ""
