"""Where the tasks of a run find their folders on each node, and getting the program's files there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from tui_lab.engine.code import Code, code_of
from tui_lab.engine.files import NodeFiles, Unreachable
from tui_lab.engine.node import Node
from tui_lab.engine.recipe import Place
from tui_lab.engine.run import ExperimentRun
from tui_lab.engine.transfer import TransferError
from tui_lab.spec.needs import brought_home
from tui_lab.spec.problem import SpecError
from tui_lab.store import layout

log = logging.getLogger(__name__)

AGAIN: Final = 5.0  # seconds before a further try to send the code
MEGABYTE: Final = 1e6


class Places:
    """Knows the place of a run on a node once it is ready there; `ready` is called when one has become so."""

    def __init__(self, files: NodeFiles, ready: Callable[[], None]) -> None:
        self.files = files
        self.ready = ready
        self._places: dict[tuple[Node, str], Place] = {}  # by node and identity of a recipe
        self._codes: dict[str, asyncio.Task[Code]] = {}  # by the identity of a recipe
        self._sent: dict[tuple[Node, str], str] = {}  # (node, identity of a recipe) -> folder there
        self._sending: dict[tuple[Node, str], asyncio.Task[None]] = {}

    def place(self, run: ExperimentRun, node: Node, submission: int) -> Place | None:
        """None while the program's files are on their way. Raises LabError, SpecError."""
        key = (node, run.recipe(submission).identity)
        if key not in self._places:
            place = self._make(run, node, submission)
            if place is None:
                return None
            self._places[key] = place
        return self._places[key]

    def _make(self, run: ExperimentRun, node: Node, submission: int) -> Place | None:
        recipe = run.recipe(submission)
        experiment = recipe.experiment
        common: dict[str, Any] = {
            "node": node.name,
            "inherits": not node.remote,
            "env": node.entry.get("env") or {},
            "setup": node.entry.get("setup"),
        }
        if node.shared:
            return Place(tasks=recipe.here.tasks, workdir=node.entry.get("workdir") or recipe.here.workdir, **common)
        workdir = node.entry.get("workdir")
        if workdir is None or experiment.code or experiment.inputs:
            sent = self._sent.get((node, recipe.identity))
            if sent is None:
                self._send(run, node, submission)
                return None
            workdir = workdir or sent
        return Place(
            tasks=f"{node.home}/{run.wire_name}/{layout.TASKS}",
            workdir=workdir,
            collect={**brought_home(experiment), "home": node.home},
            **common,
        )

    def forget(self, node: Node) -> None:
        """Ask again what is there: the node has come back."""
        for known in (self._sent, self._places):
            for key in [key for key in known if key[0] is node]:
                del known[key]

    async def close(self) -> None:
        running: list[asyncio.Task[Any]] = [*self._sending.values(), *self._codes.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _send(self, run: ExperimentRun, node: Node, submission: int) -> None:
        key = (node, run.recipe(submission).identity)
        if key not in self._sending:
            self._sending[key] = asyncio.create_task(self._keep_sending(run, node, submission))

    async def _keep_sending(self, run: ExperimentRun, node: Node, submission: int) -> None:
        recipe = run.recipe(submission)
        try:
            while node.ready and not run.journal.removed:
                try:
                    code = await self._code(run, submission)
                    folder = f"{node.home}/code/{code.digest}"
                    await self._put(node, folder, code)
                    self._sent[node, recipe.identity] = folder
                    break
                except (TransferError, *Unreachable, ValueError, SpecError) as error:
                    log.warning("node %s: %s", node.name, error)
                    node.doing = f"can't send the code: {error}"
                    self._codes.pop(recipe.identity, None)
                    await asyncio.sleep(0 if isinstance(error, TransferError) and error.lost else AGAIN)
        finally:
            node.doing = ""
            self._sending.pop((node, recipe.identity), None)
        self.ready()

    async def _code(self, run: ExperimentRun, submission: int) -> Code:
        """The files of a submission, hashed once for all nodes."""
        recipe = run.recipe(submission)
        if recipe.identity not in self._codes:
            scripts = [name for name in run.state.submissions[submission].get("scripts", {}) if not name.endswith(":")]
            work = asyncio.to_thread(code_of, recipe.experiment, scripts, recipe.folder, recipe.code)
            self._codes[recipe.identity] = asyncio.create_task(work)
        return await self._codes[recipe.identity]

    async def _put(self, node: Node, folder: str, code: Code) -> None:
        if not code.files:
            async with self.files.channel(node) as channel:
                await channel.put_tree(node.home, folder, [])
            return
        total, sent = code.size, 0

        def tell(count: int) -> None:
            nonlocal sent
            sent += count
            node.doing = f"sending the code, {sent / MEGABYTE:,.1f} of at most {total / MEGABYTE:,.1f} MB"

        async with self.files.channel(node) as channel:
            await channel.put_tree(node.home, folder, list(code.files), progress=tell)
