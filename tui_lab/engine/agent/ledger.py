"""The ledger: a file with what a later agent needs to go on. Also the spool's identity, and the epoch of its engine."""

import json
import os
import time

from tui_lab.engine.agent.attempt import all_records, replay
from tui_lab.engine.agent.text import decode, encode, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEDGER = "ledger.jsonl"
LEDGER_LIMIT = 1 << 24  # bytes


class Ledger:
    """The ledger of a spool. `pause(why)` is called where the disk is full."""

    def __init__(self, spool: str, pause) -> None:
        self.spool = spool
        self.pause = pause
        self.identity = self.read_identity()
        self.epoch = self.read_epoch()
        self.unwritten: Any = []
        self.exits_number = 1
        self.path = os.path.join(spool, LEDGER)
        self.file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self.size = 0

    def read_identity(self) -> str:
        """Return the identity of this ledger.

        An engine that meets another one knows that the attempts of the old one are lost."""
        path = os.path.join(self.spool, "identity")
        try:
            with open(path) as file:
                text = file.read()
            if text:
                return text
        except OSError:
            pass
        identity = "%x-%x" % (int(time.time() * 1e6), os.getpid())
        with open(path, "w") as file:
            file.write(identity)
        return identity

    def read_epoch(self) -> int:
        """Return the highest epoch of an engine so far, 0 where there was none."""
        try:
            with open(os.path.join(self.spool, "epoch")) as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    def raise_epoch(self, epoch: int) -> None:
        """Record a higher epoch."""
        self.epoch = epoch
        try:
            with open(os.path.join(self.spool, "epoch"), "w") as file:
                file.write(str(epoch))
        except OSError as error:
            log("epoch: %s" % error)

    @property
    def exits(self) -> str:
        """The file for the exit statuses of attempts that begin now."""
        return os.path.join(self.spool, "exits-%d" % self.exits_number)

    def append(self, record: dict) -> None:
        """Add a record to those that `write` writes."""
        self.unwritten.append(json.dumps(record))

    def write(self) -> bool:
        """Write the records that were added.

        Return False where the disk is full: they are kept, and the file is as before."""
        if not self.unwritten:
            return True
        data = encode("\n".join(self.unwritten) + "\n")
        written = 0
        try:
            while written < len(data):
                written += os.write(self.file, data[written:])
        except OSError as error:
            os.ftruncate(self.file, self.size)
            self.pause("%s: %s" % (self.spool, error.strerror))
            return False
        self.unwritten = []
        self.size += written
        return True

    def read(self) -> dict:
        """Return the attempts that an earlier agent has left, by key. An incomplete last line is cut off."""
        attempts: Any = {}
        lines, torn = ledger_lines(self.path)
        self.size = os.fstat(self.file).st_size - len(torn)
        os.ftruncate(self.file, self.size)
        for line in lines:
            try:
                replay(attempts, json.loads(decode(line)))
            except (ValueError, KeyError) as error:
                log("ledger: %r: %r" % (line[:200], error))
        numbers = [int(attempt.exits.rpartition("-")[2]) for attempt in attempts.values()]
        self.exits_number = max([1] + numbers)
        return attempts

    def compact(self, attempts: dict) -> None:
        """Drop records of acknowledged attempts, once these are all or most of the file.

        attempts: those that are not acknowledged."""
        if not attempts:
            self.unwritten = []
            os.ftruncate(self.file, 0)
            self.size = 0
            try:
                os.truncate(self.exits, 0)
            except OSError:
                pass
        elif self.size > LEDGER_LIMIT:
            self.rewrite(attempts)

    def rewrite(self, attempts: dict) -> None:
        """Replace the file by one with the records of these attempts only."""
        lines = [json.dumps(record) for attempt in attempts.values() for record in all_records(attempt)]
        data = encode("".join(line + "\n" for line in lines))
        try:
            with open(self.path + ".new", "wb") as file:
                file.write(data)
        except OSError as error:
            self.pause("%s: %s" % (self.spool, error.strerror))
            return
        os.rename(self.path + ".new", self.path)
        os.close(self.file)
        self.file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        self.unwritten = []
        self.size = len(data)
        self.exits_number += 1
        used = {attempt.exits for attempt in attempts.values()}
        for name in os.listdir(self.spool):
            path = os.path.join(self.spool, name)
            if name.startswith("exits-") and path != self.exits and path not in used:
                os.unlink(path)


def ledger_lines(path: str) -> tuple:
    """Return the complete lines of a ledger, and the bytes behind the last of them. Raises OSError."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    torn = lines.pop()
    return lines, torn
