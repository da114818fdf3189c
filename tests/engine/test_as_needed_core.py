"""The scheduler alone, with a pool whose nodes have what the tasks need that waited for them."""

from __future__ import annotations

import numpy as np

from tests.store.events import submitted
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Commit
from tui_lab.engine.core.events import (
    NodeAdded,
    NodeWelcomed,
    PoolAdded,
    PoolSurveyed,
    RunBegun,
    RunLoaded,
    Staged,
    Woken,
)
from tui_lab.engine.core.model import Moment, NodeLimits, RunSettings
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.protocol.agent import Welcome
from tui_lab.store.events import Finished, JournalBegun
from tui_lab.store.fold import State

NOW = Moment(1000.0, 1000.0)


def test_only_what_no_node_can_ever_have_fails() -> None:
    ids = np.arange(2, dtype=np.int64)
    state = State()
    state.apply(JournalBegun(2, "0123456789abcdef"))
    state.apply(submitted(plan=1, planned=[[0, 1]], queued=[[0, 1]], nodes=[{"name": "big"}], keep_going=True))
    settings = RunSettings(ids, ids, has_needs=True, needs=lambda key, changes: {"cpus": (8, 2)[key[0]]})
    scheduler = Scheduler(NOW)
    welcome = Welcome(PROTOCOL, 1, "x", "3.12.0", 1, 1, [], True, "", {}, [], "", None)
    found: list[Finished] = []
    for event in (
        RunLoaded("e", state),
        PoolAdded("big"),
        PoolSurveyed("big", limits=NodeLimits(4, None, 0), as_needed=True),
        RunBegun("e", settings),
        NodeAdded("big.1", remote=True, pool="big"),  # granted for others, which needed less
        NodeWelcomed("big.1", welcome, 1 << 30),
        Woken(),
        Staged("e", "big.1", 0),
        Woken(),
    ):
        for effect in scheduler.handle(event, NOW):
            found += [one for one in (effect.events if isinstance(effect, Commit) else ()) if isinstance(one, Finished)]
    (failed,) = found
    why = "no node can run it: big.1: needs cpus: 8, the node offers 1; big: needs cpus: 8, the node offers 4"
    assert (failed.task, failed.message) == (0, why)
    assert list(scheduler.runs["e"].order) == [1]
