"""What clients command of runs: submit, retry, resume, pause, drain, stop, and the priority."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from tui_lab.engine.core.events import (
    DrainRequested,
    PauseRequested,
    PriorityRequested,
    Recorded,
    RunBegun,
    StopRequested,
)
from tui_lab.engine.engine import Engine
from tui_lab.engine.run_files import RunFiles
from tui_lab.store import ranges
from tui_lab.store.errors import LabError
from tui_lab.store.events import Changes, Submitted


class RunCommands:
    """Each raises LabError for what can't be done."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def submit(self, event: Submitted, seen: int, environment: Mapping[str, str], umask: int | None) -> int:
        """Take a submission; return its index. A repeated one is not taken again. seen: how far the client had read the
        journal when it planned."""
        run = self.engine.load(event.experiment, new=True)
        for index, before in enumerate(run.state.submissions):
            if before.id == event.id:
                if run.environment is None and run.state.ended is None:
                    self._begin(run, environment, umask, again=True)
                return index
        self.engine.pools.check(event.nodes)
        if run.name in self.engine.scheduler.active:
            event = structs.replace(event, joins=True)
        self.engine.feed(Recorded(run.name, [run.submit(event, seen)]))
        self._begin(run, environment, umask, fresh=True, again=True)
        return run.submission

    def requeue(
        self,
        name: str,
        tasks: ranges.Ranges,
        environment: Mapping[str, str],
        umask: int | None,
        changes: Changes,
        step: int | None = None,
    ) -> int:
        """Queue tasks again: `retry`. changes: what differs from the file this time, as `timeout` in seconds. step: the
        one that they begin at, by default the first that is not done."""
        run = self.engine.submitted(name)
        self.engine.pools.check(run.nodes)
        self.engine.feed(Recorded(name, [run.requeue(tasks, changes, step)]))
        self._begin(run, environment, umask, again=True)
        return run.submission

    def resume(self, name: str, environment: Mapping[str, str], umask: int | None) -> None:
        """Continue what was requested, after a pause or the death of an engine."""
        run = self.engine.submitted(name)
        self.engine.pools.check(run.nodes)
        resumed = run.resume()
        if resumed is not None:
            self.engine.feed(Recorded(name, [resumed]))
        self._begin(run, environment, umask)

    def _begin(
        self,
        run: RunFiles,
        environment: Mapping[str, str],
        umask: int | None,
        *,
        fresh: bool = False,
        again: bool = False,
    ) -> None:
        """Make a run active, with the environment that its tasks inherit. fresh: it is a new submission. again: tasks
        were requested anew."""
        settings = run.settings(extends=self.engine.extending.possible)
        run.environment, run.umask = dict(environment), umask
        self.engine.discarding.resume(run)
        for entry in run.nodes:
            self.engine.pools.connect(entry, environment)
        self.engine.feed(RunBegun(run.name, settings, fresh=fresh, again=again))
        for entry in run.nodes:
            if entry["name"] in self.engine.nodes:  # else it is a pool
                self.engine.facts.tell(self.engine.nodes[entry["name"]])

    def pause(self, name: str) -> None:
        """Start nothing more of an experiment until it is resumed; running tasks continue."""
        self.engine.submitted(name)
        self.engine.feed(PauseRequested(name))

    def drain(self, name: str) -> None:
        """Start nothing more of an experiment; running tasks may finish, then its run is over."""
        self.engine.submitted(name)
        self.engine.feed(DrainRequested(name))

    def set_priority(self, name: str, priority: int) -> None:
        """Change the priority of an experiment until its next submission. Raises LabError where it is not running."""
        self.engine.submitted(name)
        if name not in self.engine.scheduler.active:
            raise LabError(f"{name} is not running", "`priority` in its file is for the next submission")
        self.engine.feed(PriorityRequested(name, priority))

    def stop(self, name: str, tasks: set[int] | None, interrupt: bool) -> int:
        """Stop tasks, or all of an experiment; return how many. interrupt: they become pending instead of stopped."""
        self.engine.submitted(name)
        self.engine.stopped = 0
        self.engine.feed(StopRequested(name, None if tasks is None else frozenset(tasks), interrupt))
        return self.engine.stopped
