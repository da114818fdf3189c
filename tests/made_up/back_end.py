"""A cluster behind a bridge that another package could bring: at most `room` leases, all beside the bridge's own
process, which is their worker. `python -m tui_lab.engine.transports.bridge tests.made_up.back_end`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from tui_lab.engine.transports.bridge.back_end import BackEnd, BackEndError, LeaseGoneError
from tui_lab.engine.transports.bridge.holder import Holder, HolderError
from tui_lab.engine.transports.supply import Limits, Offer, Request


class HereBackEnd(BackEnd):
    """Leases in the process of the bridge."""

    async def connect(self) -> None:
        print("a library says something")  # must not get among the frames
        if self.site.settings.get("refuses"):
            raise BackEndError(self.site.settings["refuses"], fatal=True)
        self.holders: dict[str, Holder] = {}

    async def ask(self, requests: Sequence[Request]) -> None:
        for one in requests:
            words, source = self.boot.words, self.boot.source
            holder = Holder(words, source, self.site.python, one.spool, one.leave, dict(os.environ))
            self.holders[one.name] = holder
            if len(self.holders) <= self.site.settings["room"]:
                try:
                    await holder.start()
                except HolderError:
                    pass  # it knows why

    async def survey(self) -> Sequence[Offer]:
        if self.site.settings.get("hangs"):
            await asyncio.Event().wait()
        return [self.offer(name, holder) for name, holder in self.holders.items()]

    def offer(self, name: str, holder: Holder) -> Offer:
        if holder.ended.is_set():
            return Offer(name, state="ended", cause="failed" if holder.error else "ended", why=holder.error)
        return Offer(name, "0", state="up") if holder.agent is not None else Offer(name, why="no room")

    async def give_back(self, names: Sequence[str]) -> None:
        for name in names:
            if name in self.holders:
                await self.holders[name].stop()

    async def call(self, id: str, name: str, method: str, *arguments: Any) -> Any:
        if name not in self.holders or self.holders[name].ended.is_set():
            raise LeaseGoneError("it has ended")
        return await getattr(self.holders[name], method)(*arguments)

    async def limits(self) -> Limits:
        return Limits(cpus=3)


make = HereBackEnd
