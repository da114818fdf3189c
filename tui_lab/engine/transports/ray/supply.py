"""Ray as a supply of nodes."""

from __future__ import annotations

from typing import ClassVar

from tui_lab.engine.transports.bridge.supply import BridgeSupply
from tui_lab.engine.transports.supply import Traits


class RaySupply(BridgeSupply):
    """Each allocation has what the tasks that wait for it need."""

    traits: ClassVar[Traits] = Traits(survives=True, every=1.0, as_needed=True)
