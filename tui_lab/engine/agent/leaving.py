"""What someone who wants to clean up must know of a spool."""

import fcntl
import json
import os
import re
import stat
import time

from tui_lab.engine.agent.attempt import replay
from tui_lab.engine.agent.boot import hold_lock, remove_spool
from tui_lab.engine.agent.ledger import LEDGER, ledger_lines
from tui_lab.engine.agent.places import spool_path
from tui_lab.engine.agent.processes import boot_id, decode, is_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEFT_AFTER = 24 * 3600.0  # seconds after which a spool that no agent freshens has been left


def remove_left(own: str) -> None:
    """Remove the spools beside one's own that dead agents have left a day ago or more, where no engine can want
    anything of them any more: all is acknowledged, or the machine was started anew since."""
    folder = os.path.dirname(own)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        spool = os.path.join(folder, name)
        try:
            if spool != own and re.match("[0-9a-f]{16}-.", name) and is_old(spool):
                lock = hold_lock(spool)
                if lock is not None:
                    if not (same_boot(spool) and spool_facts(spool)["open"]):
                        remove_spool(spool)
                    os.close(lock)
        except OSError:
            pass


def is_old(spool: str) -> bool:
    """Whether a folder is a spool of ours, of this machine, that was not touched for long. Raises OSError."""
    facts = os.lstat(spool)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or time.time() - facts.st_mtime < LEFT_AFTER:
        return False
    with open(os.path.join(spool, "boot")) as file:
        return file.read().partition(" ")[0] == os.uname().nodename


def spool_facts(name: str) -> dict:
    """`alive`: an agent is; `running`: keys of attempts with processes; `open`: keys of all that no engine has
    acknowledged. Nothing is changed, and no agent is disturbed."""
    spool = spool_path(name)
    attempts: Any = {}
    try:
        for line in ledger_lines(os.path.join(spool, LEDGER))[0]:
            try:
                replay(attempts, json.loads(decode(line)))
            except (ValueError, KeyError):
                pass
    except OSError:
        pass  # no spool, no attempts
    unsettled = [attempt for attempt in attempts.values() if attempt.event is None and attempt.pid is not None]
    if not same_boot(spool):
        unsettled = []
    return {
        "spool": spool,
        "alive": is_held(os.path.join(spool, "lock")),
        "running": [attempt.key for attempt in unsettled if is_process(attempt.pid, attempt.start_time)],
        "open": [attempt.key for attempt in attempts.values()],
    }


def same_boot(spool: str) -> bool:
    """Whether pids in the ledger still mean what they meant."""
    try:
        with open(os.path.join(spool, "boot")) as file:
            return file.read().partition(" ")[2] == boot_id()
    except OSError:
        return False


def is_held(path: str) -> bool:
    """Whether an agent has the lock."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(lock)
