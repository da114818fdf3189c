"""Removing the files of runs of stages that nothing needs any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from tui_lab.engine.run_files import RunFiles
from tui_lab.store import discarded_files


class Discarding:
    """Moves files aside at once, so that another attempt may begin, and removes them in threads."""

    def __init__(self) -> None:
        self._removing: set[asyncio.Task[None]] = set()

    def discard(self, run: RunFiles, runs: Iterable[int]) -> None:
        """Remove the files of runs, which the journal has as discarded; not of one that was requested meanwhile."""
        if not (runs := list(runs)):
            return
        experiment = run.folder.spec() if run.folder.metrics_file.exists() else run.builder().experiment
        for one in runs:
            stage = run.state.stage(one)
            if stage is not None and run.state.columns["discarded"][one]:
                place = discarded_files.move_aside(run.folder.path, experiment, one, stage)
                if place is not None:
                    self._remove(place)

    def resume(self, run: RunFiles) -> None:
        """Remove what an earlier engine has not removed."""
        for place in discarded_files.left_aside(run.folder.path):
            self._remove(place)
        self.discard(run, run.state.discarded_runs())

    def _remove(self, place: Path) -> None:
        task = asyncio.create_task(asyncio.to_thread(discarded_files.remove, place))
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def close(self) -> None:
        """Wait until all is removed."""
        await asyncio.gather(*self._removing)
