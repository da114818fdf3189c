"""What engines that grant nodes can grant, as they say themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from tui_lab.engine.transports import supply_for
from tui_lab.engine.transports.supply import Limits, SupplyError
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab

PATIENCE: Final = 15.0  # seconds for the answer of an engine


def ask_limits(
    pools: Sequence[NodeEntry], lab: Lab, environment: Mapping[str, str]
) -> tuple[dict[str, Limits], list[str]]:
    """Return the limits of pools by name, and notes on those that don't answer. Raises LabError where an engine refuses
    what the cluster file asks it for."""
    with ThreadPoolExecutor(1) as executor:  # the caller may have a loop
        answers = executor.submit(asyncio.run, _ask_all(pools, lab, environment)).result()
    limits: dict[str, Limits] = {}
    notes: list[str] = []
    for node, answer in zip(pools, answers, strict=True):
        if isinstance(answer, Limits):
            cpus = None if answer.cpus is None else max(answer.cpus, node.get("slots", 0))  # one for each task
            limits[node["name"]] = replace(answer, cpus=cpus)
        elif isinstance(answer, SupplyError | TimeoutError):
            if isinstance(answer, SupplyError) and answer.fatal:
                raise LabError(f"{node['name']}: {answer}")
            notes.append(f"{node['name']}: {str(answer) or 'no answer'}; whether tasks fit there is not checked")
        else:
            raise answer
    return limits, notes


async def _ask_all(
    pools: Sequence[NodeEntry], lab: Lab, environment: Mapping[str, str]
) -> list[Limits | BaseException]:
    return await asyncio.gather(*(_ask(one, lab, environment) for one in pools), return_exceptions=True)


async def _ask(node: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Limits:
    supply = supply_for(node, lab, environment)
    try:
        async with asyncio.timeout(PATIENCE):
            return await supply.limits()
    finally:
        await supply.close()
