"""A node as the scheduler sees it: its free slots, the attempts assigned to it, and its connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tui_lab.engine.agent.resources import Resources
from tui_lab.protocol.agent import Needs, Welcome, WireKey

BACKLOG: Final = 100_000  # attempts that `ahead` may hand over at most
LOST_AFTER: Final = 600.0  # seconds without a connection after which a node's tasks run elsewhere
SAME_END: Final = 2.0  # seconds by which what two surveys say of the same end may differ
RATE_WINDOW: Final = 0.5  # seconds that the rate of ended attempts is an average of


class NodeState:
    """Changes only while the scheduler handles an event."""

    def __init__(self, name: str, *, remote: bool = False, slots: int = 0, pool: str = "") -> None:
        self.name = name
        self.pool = pool  # that it was granted by; empty where an entry names it
        self.remote = remote
        self.wanted_slots = slots  # 0: as many as the node has cores
        self.slots = slots
        self.ahead: int | None = None
        self.ahead_seconds: float | None = None
        self.lost_after = LOST_AFTER
        # The connection.
        self.ready = False
        self.was_connected = False  # its agent has answered at least once
        self.spool = ""  # identity of the agent's ledger
        self.shared = True  # it sees the lab's folder
        self.contexts: set[str] = set()  # sent over this connection
        self.staged: set[tuple[str, int]] = set()  # submissions whose tasks can start there: (wire name, number)
        self.staging: set[tuple[str, int]] = set()  # those that are on their way
        self.tries = 0  # in a row that failed
        self.failing_since: float | None = None  # monotonic
        self.silent = False  # the channel is open, but its agent does not answer
        self.unrecoverable = False  # trying again can't help: the key is refused, there is no Python
        self.lost = False  # it was away for too long: its tasks run elsewhere
        self.drained = False  # by command: nothing new starts there
        self.ending = False  # what its agent runs in is about to end: it takes nothing new
        self.ends_at: float | None = None  # monotonic: when what it was granted for ends, if that is known
        self.ends_for = ""  # why it is taken back then, before its time
        self.granted = 0.0  # seconds that it had of that when it was first known
        self.whole = 0.0  # the same, less what others of its pool needed before their first task
        self.measured = False  # what it needed itself is known
        self.error = ""  # why it can't be reached
        # The work.
        self.open: dict[WireKey, Needs] = {}  # assigned and not ended, in order; what each needs
        self.resources: Resources | None = None  # what it offers to tasks
        self.no_return_before = 0.0  # monotonic: until then it is not asked to give back what has not begun
        self.setup_since: float | None = None  # monotonic: since then its agent runs setup lines, and tasks wait
        self.latency = 0.0  # seconds there and back
        self.rate = 0.0  # attempts that end here, per second
        self.pace: float | None = None  # seconds that an attempt takes here
        self._measured = 0.0  # monotonic: when the rate was measured last

    def move_deadline(self, ends_in: float | None, now: float, reason: str = "") -> bool:
        """Take over when it ends, and why then; return whether that has changed."""
        ends_at = None if ends_in is None else now + ends_in
        if reason and reason != self.ends_for:
            self.ends_at, self.ends_for, self.ending = ends_at, reason, True
            return True
        if ends_at is not None and self.ends_at is not None and abs(ends_at - self.ends_at) < SAME_END:
            return False
        changed, self.ends_at = ends_at != self.ends_at, ends_at
        self.granted = max(self.granted, ends_in or 0.0)
        return changed

    def left(self, now: float) -> float | None:
        """Return the seconds until what it was granted for ends; None where it has no end that is known."""
        return None if self.ends_at is None else self.ends_at - now

    # --- Room for tasks

    @property
    def takes(self) -> bool:
        """Whether new tasks may be started there."""
        return self.ready and not self.drained and not self.ending

    @property
    def free(self) -> int:
        """Slots to which nothing is assigned."""
        return max(0, self.slots - len(self.open)) if self.takes else 0

    @property
    def window(self) -> int:
        """How many more attempts to assign: enough to keep the agent busy between two messages."""
        return self.slots + self._ahead - len(self.open) if self.takes else 0

    @property
    def wants_more(self) -> bool:
        """Whether to assign more now: in groups, because each message costs both sides a turn of their loops."""
        ahead = self._ahead
        return self.takes and self.slots + ahead - len(self.open) > ahead // 2

    @property
    def _ahead(self) -> int:
        """Attempts to assign beyond the slots: for a tenth of a second and four latencies, or what `ahead` asks for."""
        patience = 0.1 + 4 * self.latency
        most = max(self.slots, min(256 if self.remote else 64, int(self.rate * patience)))
        if self.ahead is not None:
            most = max(most, self.ahead)
        elif self.ahead_seconds is not None and self.pace is not None:
            most = max(most, min(BACKLOG, int(self.slots * self.ahead_seconds / max(self.pace, 1e-3))))
        return most

    @property
    def waiting_limit(self) -> int:
        """How many attempts may wait here for resources in use. Few, so that another node may run them."""
        return max(2, int(self.rate * (0.1 + 4 * self.latency)))

    def room(self) -> tuple[Resources, list[WireKey]]:
        """Return the resources that should be free, and the attempts that wait for some."""
        assert self.resources is not None
        offered = self.resources
        room = Resources(self.slots, offered.cpus, offered.memory, offered.gpus, offered.further)
        return room, [key for key, needs in self.open.items() if room.grant(needs) is None]

    # --- The connection

    @property
    def state(self) -> str:
        """The state as `tui-lab nodes` shows it, but for quarantine."""
        if self.ready:
            return "drained" if self.drained else "up"
        if self.unrecoverable:
            return "failed"
        if self.lost:
            return "lost"
        return "away" if self.was_connected or self.tries > 1 else "connecting"

    @property
    def away(self) -> bool:
        """Whether it can't be reached at present."""
        return not self.ready and self.failing_since is not None

    def failing_for(self, now: float) -> float:
        """Return the seconds since the first failed try; 0 while connected."""
        return 0.0 if self.failing_since is None else now - self.failing_since

    def discount_pause(self, seconds: float, now: float) -> None:
        """Don't count the seconds in which the engine itself was suspended."""
        if self.failing_since is not None:
            self.failing_since = min(self.failing_since + seconds, now)

    # --- Events

    def on_welcome(self, welcome: Welcome, memory: int, now: float, further: Mapping[str, int]) -> None:
        """Take the answer to `hello`. What was sent over an earlier connection counts only if the agent names it."""
        self.slots = welcome.slots
        self.spool = welcome.spool
        self.shared = welcome.shared
        self.ready = self.was_connected = True
        self.lost = self.unrecoverable = self.silent = False
        self.error, self.failing_since, self.tries = "", None, 0
        self.no_return_before = 0.0
        self.open = {}
        self.contexts, self.staged, self.staging = set(), set(), set()
        self.resources = Resources(self.slots, welcome.cores, memory, welcome.gpus, further)
        self.on_setup(welcome.setup, now)

    def on_disconnected(self, why: str, *, fatal: bool, silent: bool, tries: int, now: float) -> None:
        """The connection has ended, or could not be made. why: empty where the agent ended it in order."""
        self.ready = False
        self.tries = tries
        self.silent = silent
        if why:
            self.unrecoverable = fatal
            self.error = why
            if self.failing_since is None:
                self.failing_since = now

    def on_retried(self) -> None:
        """It is tried again by command, like a new node."""
        self.unrecoverable = False
        self.error = ""
        self.tries = 0
        if self.lost:
            self.lost = self.was_connected = False
            self.failing_since = None

    def on_setup(self, running_for: float | None, now: float) -> None:
        """Setup lines began there so many seconds ago; None: they have ended."""
        self.setup_since = None if running_for is None else now - running_for

    def measure(self, durations: Sequence[float], now: float) -> None:
        """Update the averages of the rate and the duration of attempts. durations: of those that have just ended."""
        for duration in durations:
            self.pace = duration if self.pace is None else 0.9 * self.pace + 0.1 * duration
        passed, self._measured = now - self._measured, now
        weight = min(1.0, passed / RATE_WINDOW)
        self.rate += weight * (len(durations) / max(passed, 1e-3) - self.rate)
