"""Looks at a lab from a thread of its own: journals, engine, nodes. The screen gets frozen snapshots.

What reads journals is imported in the thread: the screen is there before numpy and polars are.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tui_lab.tui.base.config import CRASH_FILE, keep_traceback, state_folder
from tui_lab.tui.base.snapshot import LabSnapshot, SnapshotTaken

if TYPE_CHECKING:
    from tui_lab.store.lab import Lab
    from tui_lab.tui.app.followers import WatchedEngine, WatchedExperiment

QUIET: Final = 1.0  # seconds between looks while there is no lab, or nothing happens in it
ATTACHED: Final = 2.0  # seconds between looks while nothing happens, and an engine could do something
_MOST: Final = 50  # journals that are looked at in between
CALM: Final = 5.0  # seconds without an event in any journal after which nothing happens


class Watcher:
    """Reads the lab in a thread. refresh: times per second. post: takes a snapshot whenever something has changed."""

    def __init__(self, path: Path, refresh: float, post: Callable[[SnapshotTaken], object]) -> None:
        self.path = path
        self.refresh = refresh
        self.post = post
        self._ending = threading.Event()
        self._at_once = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._lab: Lab | None = None
        self._marker: object = None  # tells whether the lab is still the one that was opened
        self._experiments: dict[str, WatchedExperiment] = {}
        self._engine: WatchedEngine | None = None
        self._last: Any = None
        self._happened: object = None  # all but what moves by itself, such as the load of nodes
        self._news = 0.0  # when that changed, on the monotonic clock
        self._found = False  # there was a lab once
        self._mistake = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Read at once, as after a command."""
        self._at_once.set()

    def close(self, patience: float = 0.0) -> None:
        """End the thread, after the present read. Wait for that so many seconds at most."""
        self._ending.set()
        self._at_once.set()
        if self._thread.is_alive():
            self._thread.join(timeout=patience)

    def _watch(self) -> None:
        from tui_lab.store.errors import LabError

        while not self._ending.is_set():
            try:
                snapshot = self._look()
            except LabError as error:
                snapshot = LabSnapshot(problem=str(error), taken=time.time())
            except OSError as error:
                snapshot = LabSnapshot(problem=f"{self.path}: {error.strerror or error}", taken=time.time())
            except Exception as error:  # noqa: BLE001 - shown on the screen, and tried again
                snapshot = LabSnapshot(problem=self._unforeseen(error), taken=time.time())
            seen = (snapshot.lab, snapshot.experiments, snapshot.engine, snapshot.died, snapshot.problem)
            if (seen, snapshot.samples) != self._last and not self._ending.is_set():
                self._last = (seen, snapshot.samples)
                self.post(SnapshotTaken(snapshot, self))
            self._rest(snapshot)
        if self._engine is not None:
            self._engine.close()

    def _rest(self, snapshot: LabSnapshot) -> None:
        """Wait until the next look. While nothing happens, an engine is asked less often; what happens then is seen as
        soon as ever, for the sizes of the journals are looked at meanwhile."""
        engine = snapshot.engine
        revisions = [(one.name, one.revision) for one in snapshot.experiments]
        happened = (snapshot.lab, revisions, engine and engine.active, snapshot.died, snapshot.problem)
        now, step = time.monotonic(), 1 / self.refresh
        if happened != self._happened:
            self._happened, self._news = happened, now
        until = now + step
        if not snapshot.lab or now - self._news > CALM:
            until = now + max(step, QUIET if engine is None else ATTACHED)
        looked_at = [] if engine is None else list(self._experiments.values())[-_MOST:]
        while now < until and not self._at_once.wait(min(step, until - now) if looked_at else until - now):
            if any(one.has_news for one in looked_at):
                break
            now = time.monotonic()
        self._at_once.clear()

    def _unforeseen(self, error: Exception) -> str:
        """Return the message for an internal error; its traceback is kept once."""
        text = f"the lab can't be watched: internal error: {type(error).__name__}: {error}"
        if text != self._mistake:
            self._mistake = text
            with suppress(OSError):
                keep_traceback("".join(traceback.format_exception(error)))
        return f"{text}; its traceback is in {state_folder() / CRASH_FILE}"

    def _look(self) -> LabSnapshot:
        lab = self._open()
        if lab is None:
            return LabSnapshot(taken=time.time())
        from tui_lab.tui.app.followers import WatchedEngine, WatchedExperiment

        self._engine = self._engine or WatchedEngine(lab)
        engine = self._engine.take_snapshot()
        active = engine.active if engine is not None else ()
        names = lab.experiments()
        for gone in self._experiments.keys() - set(names):
            del self._experiments[gone]
        found = []
        for name in names:
            if name not in self._experiments:
                self._experiments[name] = WatchedExperiment(lab.experiment(name))
            found.append(self._experiments[name].take_snapshot(name in active))
        left = any(one.queued and one.ended is None for one in found)
        died = left and engine is None and self._engine.was_killed()
        return LabSnapshot(lab, tuple(found), engine, died, taken=time.time(), samples=self._engine.samples)

    def _open(self) -> Lab | None:
        """Return the lab; None where there is none yet. Raises LabError."""
        from tui_lab.store.errors import LabError
        from tui_lab.store.lab import Lab
        from tui_lab.store.layout import LAB_FILE

        try:
            facts = (self.path / LAB_FILE).stat()
        except FileNotFoundError:
            if not self._found and (self.path.is_dir() or not self.path.exists()):
                return None
            self._forget()
            if not self.path.exists():
                raise LabError(f"{self.path}: the lab is gone: it was moved or deleted") from None
            return Lab.open(self.path)  # says what is wrong
        marker = (facts.st_ino, facts.st_mtime_ns)
        if marker != self._marker:
            self._forget()
            self._lab, self._marker = Lab.open(self.path), marker
            self._found = True
        return self._lab

    def _forget(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._lab, self._marker, self._engine, self._experiments = None, None, None, {}
