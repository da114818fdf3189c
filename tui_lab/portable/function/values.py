"""The value of a run of a stage: what its function returned, in a file of its folder, for functions of later stages,
and for those that collect.

JSON where that gives the same back, `.npy` for arrays of NumPy, else a pickle. The value of a stage that runs a command
is its folder."""

import json
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

JSON, ARRAY, PICKLE = FILES = "returned_value.json", "returned_value.npy", "returned_value.pickle"
PROTOCOL = 4  # of pickles: the newest that each Python reads
_PLAIN = (bool, int, float, str, type(None))


class ValueProblem(Exception):  # noqa: N818
    """A value that can't be kept, or not be read; the text says why."""


def kept_file(folder: str) -> "str | None":
    """Return the file of the value in the folder of a run; None where there is none."""
    paths = (os.path.join(folder, name) for name in FILES)
    return next((path for path in paths if os.path.exists(path)), None)


def keep(value: "Any", folder: str) -> None:
    """Keep a value in the folder of a run. Raises ValueProblem, OSError."""
    text = _as_json(value)
    if text is not None:
        with _Whole(os.path.join(folder, JSON)) as file:
            file.write(text)
        return
    numpy = sys.modules.get("numpy")  # type: Any
    if numpy is not None and type(value) is numpy.ndarray and not value.dtype.hasobject:
        with _Whole(os.path.join(folder, ARRAY)) as file:
            numpy.save(file, value, allow_pickle=False)
        return
    with _Whole(os.path.join(folder, PICKLE)) as file:
        _pickle(value, file)


def forget(folder: str) -> None:
    """Remove the value of an earlier attempt. Raises OSError."""
    for name in FILES:
        if os.path.exists(os.path.join(folder, name)):
            os.unlink(os.path.join(folder, name))


def read(folder: str) -> "Any":
    """Return the value in the folder of a run. Raises ValueProblem, OSError, and what the user's classes raise."""
    path = kept_file(folder)
    if path is None:
        raise ValueProblem("what its function returned was not kept in %s; run that stage again" % folder)
    with open(path, "rb") as file:
        if path.endswith(JSON):
            return json.loads(file.read().decode())
        if path.endswith(ARRAY):
            import importlib

            return importlib.import_module("numpy").load(file, allow_pickle=False)
        import pickle

        return pickle.load(file)


def folders(listing: str) -> "list[str]":
    """Return the folders that the file of a stage that collects lists. Raises OSError."""
    with open(listing, "rb") as file:
        lines = file.read().decode("utf-8", "surrogateescape").split("\n")
    first = [line.split("\t")[0] for line in lines[1:] if line]
    letters = {"t": "\t", "n": "\n", "r": "\r"}
    return [re.sub(r"\\(.)", lambda found: letters.get(found.group(1), found.group(1)), one) for one in first]


class _Whole:
    """A file that is written as a whole, or not at all."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.partial = "%s.%d.partial" % (path, os.getpid())

    def __enter__(self) -> "BinaryIO":
        self.file = open(self.partial, "wb")  # noqa: SIM115 (closed at the end of the block)
        return self.file

    def __exit__(self, kind: "Any", *_: "Any") -> None:
        self.file.close()
        if kind is None:
            os.replace(self.partial, self.path)
        else:
            os.unlink(self.partial)


def _as_json(value: "Any") -> "bytes | None":
    """Return a value as JSON that gives the same back; None where none does."""
    try:
        return json.dumps(value).encode() if _is_plain(value) else None
    except (RecursionError, ValueError):  # deep, or within itself; a number with thousands of digits
        return None


def _is_plain(value: "Any") -> bool:
    kind = type(value)
    if kind is list:
        return all(map(_is_plain, value))
    if kind is dict:
        return all(type(name) is str and _is_plain(item) for name, item in value.items())
    return kind in _PLAIN


def _pickle(value: "Any", file: "BinaryIO") -> None:
    import pickle

    try:
        pickle.dump(value, file, PROTOCOL)
        return
    except Exception as error:  # noqa: BLE001 (whatever the user's classes raise)
        why = error
    # Where it is there, a function of a notebook has come by it, and so may its classes go.
    cloudpickle = sys.modules.get("cloudpickle")  # type: Any
    if cloudpickle is not None:
        file.seek(0)
        file.truncate()
        try:
            cloudpickle.dump(value, file, PROTOCOL)
            return
        except Exception as error:  # noqa: BLE001 (as above)
            why = error
    raise ValueProblem("a %s can't be pickled: %s: %s" % (type(value).__name__, type(why).__name__, why))
