"""Calls the functions of metrics, in a process of its own: they may fail, hang, or end their process.

    python -P -m tui_lab.results.extraction.function_worker FOLDER FILE MODULE NAME

FOLDER is that of the experiment; FILE or MODULE is empty. Each line of standard input is a request, each line of
standard output the answer to one. What the function prints goes to standard error."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tui_lab.portable.function.returned import RESULT, sorted_out
from tui_lab.portable.function.target import NoFunctionError, function_of, import_module

TIMEOUT: Final = 60.0
"""Seconds that a call may take, the first one with its imports, if nothing else is said."""
_PACKAGE: Final = str(Path(__file__).parents[2]) + os.sep
_MARGIN: Final = 5.0  # seconds after which a call ends itself, if nothing else has


def main() -> None:
    """Answer requests until there are no more of them."""
    folder, file, module, name = sys.argv[1:]
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.chdir(folder)
    function: Callable[[str], object] | None = None
    for line in requests:
        request = json.loads(line)
        os.environ.update(request["variables"])
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, request["limit"] + _MARGIN)
        try:
            if function is None:
                found = import_module(folder, file or None, module or None)
                function = function_of(found, name, f"{file or module}:{name}")
            answer = _answer(function(request["folder"]))
        except NoFunctionError as error:
            answer = {"error": str(error).partition(": ")[2]}
        except BaseException as error:  # noqa: BLE001 - also what ends a program
            answer = {"error": _described(error)}
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.flush()
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _answer(value: object) -> dict[str, Any]:
    """Return what a function has returned: `values` by name, `steps`, or `rows`."""
    if inspect.isgenerator(value) or isinstance(value, Iterator):
        value = list(value)
    if isinstance(value, list | tuple) and not value:
        return {"values": {}}
    found = sorted_out(value)
    rows = found.rows.pop(RESULT, None)
    for name in found.rows:
        found.not_kept[name] = "a list of dicts within a dict"
    single = not rows and not found.steps and found.metrics.keys() == {RESULT} and not isinstance(value, dict)
    return {
        "values": found.metrics,
        **({"rows": rows} if rows else {}),
        **({"steps": found.steps} if found.steps else {}),
        **({"single": True} if single else {}),
        **({"not_kept": found.not_kept} if found.not_kept else {}),
    }


def _described(error: BaseException) -> str:
    """Return an exception in one line, with the place where it was raised."""
    text = " ".join(str(error).split())
    # Frames of an import, and of this program, say nothing.
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith(("<", _PACKAGE))]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        text, place = error.msg, f" ({Path(error.filename).name}:{error.lineno})"
    if isinstance(error, OSError) and error.strerror:
        text = ": ".join([error.strerror, *([str(error.filename)] if error.filename else [])])
    return f"{type(error).__name__}{': ' + text if text else ''}{place}"


if __name__ == "__main__":
    main()
