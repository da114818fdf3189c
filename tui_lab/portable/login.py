"""Variables that a login leaves behind: they say how someone came to a machine, or name start files for shells."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import AnyStr

# bash takes a command that has SSH_CLIENT and a small SHLVL for one that `ssh` runs, and reads ~/.bashrc for it; every
# bash that runs a script reads the file that BASH_ENV names.
NAMES = frozenset(
    ("SSH_CLIENT", "SSH2_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_ORIGINAL_COMMAND", "SSH_USER_AUTH")
    + ("BASH_ENV", "ENV", "ZDOTDIR", "PROMPT_COMMAND", "_")
    + ("PS1", "PS2")  # a bash that runs a script takes them away; virtual environments export them
)


def without_login(environment: "Mapping[AnyStr, AnyStr]") -> "dict[AnyStr, AnyStr]":
    """The variables without these, so that no shell reads its start files for each task. The way to an SSH agent
    stays."""
    kept = {}
    for name, value in environment.items():
        plain = os.fsdecode(name)
        if plain == "SHLVL" and not (value.isdigit() and int(value)):
            value = _one(value)
        if plain not in NAMES:
            kept[name] = value
    return kept


def _one(like: "AnyStr") -> "AnyStr":
    return b"1" if isinstance(like, bytes) else "1"
