"""What runs in a worker of Ray. It travels there by value, with the holder, and needs nothing of this package."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

from tui_lab.engine.transports.bridge.holder import Holder, HolderError

LINGER = 10.0  # seconds in which a bridge can ask how the agent has ended
NOT_OF_THE_NODE = ("OMP_NUM_THREADS", "PYTHONBREAKPOINT", "SPT_NOENV", "RAY_JOB_ID", "RAY_RAYLET_PID")
"""Variables that Ray sets for its workers."""


class Lease(Holder):
    """The actor: it has the resources of its options as long as its agent lives. All of its methods run beside each
    other. offers: what the agent may use. gpus: how many cards it has. source: the agent's, in parts."""

    def __init__(
        self, words: list[str], python: str, spool: str, leave: float, offers: str, gpus: float, *source: bytes
    ) -> None:
        super().__init__(words, b"".join(source), python, spool, leave, agent_environment(offers, gpus))
        self.beginning: Any = None
        self.leaving: Any = None

    async def begin(self) -> dict[str, Any] | None:
        """Start the agent, once. Return where it runs; None where it does not, or has ended."""
        if self.beginning is None:
            self.leaving = asyncio.ensure_future(self.leave_worker())
            self.beginning = asyncio.ensure_future(self.start())
        with contextlib.suppress(HolderError):  # it knows why
            await asyncio.shield(self.beginning)
        return self.where() if self.agent is not None and not self.ended.is_set() else None

    async def finish(self) -> list[Any]:
        """Wait for the end of the agent. Return its exit status, and what it said if it has failed."""
        await self.ended.wait()
        return [self.status, self.error]

    async def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of the holder. Return its answer, and what is wrong."""
        try:
            return [await getattr(self, method)(*arguments), ""]
        except HolderError as error:
            return [None, str(error)]

    async def leave_worker(self) -> None:
        """End the actor some time after its agent: there may be no bridge that does."""
        import ray

        await self.ended.wait()
        await asyncio.sleep(LINGER)
        me = ray.get_runtime_context().current_actor
        await asyncio.get_running_loop().run_in_executor(None, ray.kill, me)


def agent_environment(offers: str, gpus: float) -> dict[str, str]:
    """Return the environment of a worker without what Ray itself has set there, such as the number of threads of
    libraries: it would change results. Ray hides the cards from workers without any; some releases do not."""
    of_node: dict[str, str] = {}
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{os.environ.get('RAY_RAYLET_PID') or os.getppid()}/environ").read_bytes().split(b"\0")
        of_node = dict(os.fsdecode(line).split("=", 1) for line in lines if b"=" in line)
    environment = {
        name: value for name, value in os.environ.items() if name not in NOT_OF_THE_NODE or of_node.get(name) == value
    }
    hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
    return {**environment, **hidden, "TUI_LAB_OFFERS": offers}
