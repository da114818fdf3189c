"""Which file a command's first word names, as a shell would find it, and why it can't be run."""

import os
import stat
import time

from tui_lab.engine.agent.text import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit statuses, as shells have them
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # of shells without a PATH
CACHE_FOR = 1.0  # seconds; a search at each start would cost as much as a fork
BUILTINS = ("true", "false")  # every shell has these, whatever its path
SH = b"/bin/sh"
# Ends as a shell does which can't run a program: $1 is the message, $2 the exit status.
PRINT_AND_EXIT = 'printf "%s\\n" "$1" >&2; exit "$2"'


class ProgramFinder:
    """Finds programs, and caches the result for a second."""

    def __init__(self) -> None:
        self.found: Any = {}

    def runnable(self, argv: list, environment: dict, workdir: str, shell: str) -> tuple:
        """Return the file to execute and the words for a program and its arguments.

        The words are the same, or those of a shell for a script without an interpreter line, or those that print why
        the program can't be run."""
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
    """Return the file and words of a command that ends as a shell does which can't run a program."""
    return SH, ["sh", "-c", PRINT_AND_EXIT, "sh", "%s: %s" % (name, why), str(status)]


def find(name: bytes, path: bytes, workdir: bytes) -> tuple:
    """Return the file of a program, whether it is a script for a shell, the exit status if it can't be run, and why."""
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
    """Return the last three values of `find` for a file that may be executed."""
    try:
        with open(at, "rb") as opened:
            head = opened.read(256)
    except OSError:
        return False, 0, ""  # executable, but not readable
    if head[:2] == b"#!":
        words = head[2:].split(b"\n")[0].split()
        if words and not os.path.exists(os.path.join(workdir, words[0])):
            return False, NOT_FOUND, "its interpreter %s does not exist" % decode(words[0])
        return False, 0, ""
    # Text without an interpreter line: the kernel refuses to execute it, and shells read it themselves.
    return b"\0" not in head, 0, ""
