"""Spools of other agents: the removal of those that were left for good."""

import json
import os
import re
import stat
import time

from tui_lab.engine.agent.attempt import replay
from tui_lab.engine.agent.ledger import LEDGER, ledger_lines
from tui_lab.engine.agent.spool import STAYS, acquire_lock, is_current_boot, read_boot, remove_spool
from tui_lab.engine.agent.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STALE_AFTER = 24 * 3600.0  # seconds; a living agent touches its spool more often


def remove_stale_spools(own: str) -> None:
    """Remove the spools beside one's own that dead agents left a day ago or more, and that no engine needs any more:
    all is acknowledged, or the machine was restarted since, or the agent stayed in what has ended with it."""
    folder = os.path.dirname(own)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        spool = os.path.join(folder, name)
        try:
            stayed = os.path.exists(os.path.join(spool, STAYS))
            if spool != own and (stayed or re.match("[0-9a-f]{16}-.", name)) and is_stale(spool):
                lock = acquire_lock(spool)
                if lock is not None:
                    if stayed or not (is_current_boot(spool) and open_attempts(spool)):
                        remove_spool(spool)
                    os.close(lock)
        except OSError:
            pass


def is_stale(spool: str) -> bool:
    """Return whether a folder is a spool of this user and machine that was not touched for a day. Raises OSError."""
    status = os.lstat(spool)
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_own or time.time() - status.st_mtime < STALE_AFTER:
        return False
    return read_boot(spool)[0] == os.uname().nodename


def open_attempts(spool: str) -> list:
    """Return the attempts of a spool that no engine has acknowledged, without a change to it."""
    attempts: Any = {}
    try:
        for line in ledger_lines(os.path.join(spool, LEDGER))[0]:
            try:
                replay(attempts, json.loads(decode(line)))
            except (ValueError, KeyError):
                pass
    except OSError:
        pass  # there is no ledger
    return list(attempts.values())
