"""`tui_lab.log`: metrics that a task reports while it runs."""

import json
import os


def log(**values: object) -> None:
    """Report live metrics from a task, as in `tui_lab.log(step=3, loss=0.2)`: one row of the table NAME_steps.

    Appends one JSON line to the file `$TUI_LAB_METRICS`; outside of a task it does nothing. What JSON does not know
    (a NumPy scalar, a tensor of one element) is written as a number where it is one, else as text.
    """
    path = os.environ.get("TUI_LAB_METRICS")
    if not path:
        return
    line = json.dumps(values, default=_plain) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _plain(value: object) -> object:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)
