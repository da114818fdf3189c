"""What an exception leaves behind: a traceback without the frames of this package, and a file for the agent."""

import os
import sys
import traceback

from .returned import write_json

FILE = "exception.json"
MOST = 2000  # characters of a message that are kept


def report(error: BaseException, folder: str, output: str, attempt: int) -> None:
    """Print the traceback; write type, message and place into the task's folder."""
    _without_own_frames(error, set())
    traceback.print_exception(type(error), error, error.__traceback__)
    sys.stderr.flush()
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = "%s.%s" % (kind.__module__, name)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (an exception of the user that can't be printed)
        message = ""
    document = {"type": name, "message": message[:MOST], "at": _place(error, folder)}
    try:
        write_json(os.path.join(output, FILE if attempt == 1 else "%s.%d" % (FILE, attempt)), document)
    except OSError as failed:
        print("%s: %s" % (FILE, failed), file=sys.stderr)


def _without_own_frames(error: "BaseException | None", seen: "set[int]") -> None:
    """Leave out the frames that called the function."""
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__:
            trace = trace.tb_next
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
            trace = trace.tb_next
        error.__traceback__ = trace
        _without_own_frames(error.__cause__, seen)
        error = error.__context__


def _place(error: BaseException, folder: str) -> str:
    """Return where it was raised, as `train.py:12 in fit`: in the user's code if it is there, else in a library."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    base = os.path.join(os.path.realpath(folder), "")
    own = [one for one in frames if os.path.realpath(one[0]).startswith(base)]
    own = [one for one in own if "site-packages" not in one[0]]
    file, line, function = (own or list(frames))[-1][:3]
    path = os.path.realpath(file)
    shown = path[len(base) :] if path.startswith(base) else file
    return "%s:%d in %s" % (shown, line, function)
