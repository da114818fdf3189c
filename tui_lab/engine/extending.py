"""Asking which further repeats an experiment needs, now that all that were requested have ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from tui_lab.engine.core.events import Event, Extension, RunFailed
from tui_lab.engine.run_files import RunFiles
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder

T = TypeVar("T")

# Returns which further tasks of an experiment to run, now that the requested ones have ended, and a note.
More = Callable[[ExperimentFolder], tuple[Sequence[int], str]]


class Extending:
    """Asks in threads, and feeds the answers to the scheduler. more: finds the repeats; None where nothing does."""

    def __init__(self, runs: Mapping[str, RunFiles], more: More | None, feed: Callable[[Event], None]) -> None:
        self._runs = runs
        self._more = more
        self._feed = feed
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def possible(self) -> bool:
        """Whether there is something to ask."""
        return self._more is not None

    @property
    def busy(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._asking)

    def begin(self, run: RunFiles) -> None:
        """Ask for a run."""
        task = asyncio.create_task(self._extend(run))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _extend(self, run: RunFiles) -> None:
        assert self._more is not None
        try:
            tasks, note = await _apart(self._more, run.folder)
        except (LabError, SpecError) as error:
            self._feed(RunFailed(run.name, str(error)))
        else:
            if self._runs.get(run.name) is run:
                self._feed(Extension(run.name, tasks, note))


async def _apart(call: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread and return its result: it may take long, and the engine can end meanwhile. Raises
    what it raises."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.done():  # the caller has gone
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failure = None, None
        try:
            value = call(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, daemon=True).start()
    return await answer
