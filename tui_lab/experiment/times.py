"""Reads times of the file, such as `timeout`."""

from __future__ import annotations

from tui_lab.experiment.units import TIME_HINT, duration
from tui_lab.experiment.yaml.reader import Keypath, Reader


def read_time(r: Reader, path: Keypath, *, zero: bool = False) -> float | None:
    """Return seconds, or None after noting what is wrong. zero: they may be none."""
    node = r.node(path)
    if node.kind != "scalar" or node.value is None or isinstance(node.value, bool):
        if node.kind == "scalar" or not r.misread(path):
            r.wrong(path, "a time, such as 30s or 1h30m")
        return None
    try:
        seconds = float(node.value) if isinstance(node.value, int | float) else duration(node.text)
    except ValueError as error:
        r.add(path, str(error), TIME_HINT)
        return None
    except OverflowError:
        seconds = float("inf")
    if not 0 <= seconds < 1e9 or (seconds == 0 and not zero):
        r.add(path, f"{node.text} can't be a time here", TIME_HINT)
        return None
    return seconds
