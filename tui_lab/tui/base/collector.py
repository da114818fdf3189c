"""Python's garbage collector, kept from delaying keys.

Lines on the screen are garbage that only the collector can find: Textual keeps a line that has the right width in a
cache of itself. So it has work with every key, and a look through 50,000 objects takes longer than a key may.
"""

from __future__ import annotations

import atexit
import gc
from functools import cache
from typing import Final

FEW: Final = 4_000
"""New objects after which there is a look through them: that takes a few milliseconds."""
MANY: Final = 50_000
"""The same until the screen has settled."""


def begin() -> None:
    """Exempt what the first screen imported: a look through it would come before its first frame."""
    gc.freeze()
    gc.set_threshold(MANY)


@cache
def settle() -> None:
    """Exempt what is in memory by now: going through all that was imported takes a fifth of a second."""
    gc.freeze()
    atexit.register(gc.unfreeze)
    gc.set_threshold(FEW)
