"""Environment variables that a login sets: they describe the login, or name start files for shells."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import AnyStr

# bash takes a command that has SSH_CLIENT and a small SHLVL for one that `ssh` runs, and reads ~/.bashrc for it; every
# bash that runs a script reads the file that BASH_ENV names.
LOGIN_VARIABLES = frozenset(
    ("SSH_CLIENT", "SSH2_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_ORIGINAL_COMMAND", "SSH_USER_AUTH")
    + ("BASH_ENV", "ENV", "ZDOTDIR", "PROMPT_COMMAND", "_")
    + ("PS1", "PS2")  # a bash that runs a script unsets them; virtual environments export them
)


def without_login(environment: "Mapping[AnyStr, AnyStr]") -> "dict[AnyStr, AnyStr]":
    """Return the variables without those of a login, so that no shell reads its start files for each task.

    The address of an SSH agent stays."""
    kept = {}
    for name, value in environment.items():
        plain = os.fsdecode(name)
        if plain == "SHLVL" and not (value.isdigit() and int(value)):
            value = _level_one(value)
        if plain not in LOGIN_VARIABLES:
            kept[name] = value
    return kept


def _level_one(like: "AnyStr") -> "AnyStr":
    return b"1" if isinstance(like, bytes) else "1"
