"""What a function returned, as results: metrics, rows, steps, and what can't be kept."""

import json
import os

from .live_metrics import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FILE = "returned.json"
NOTHING = b'{"metrics": {}}\n'  # the file where nothing was returned
RESULT = "result"  # the metric that a number is
LONGEST_NAME = 100
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_MORE = _LETTERS | frozenset("0123456789.-")
_DEEPEST = 20
_DEEPEST_VALUE = 100  # lists and dicts within each other
_MOST_BITS = 10000  # of a whole number: Python refuses to write those of more than 4300 digits


class NotKept(Exception):  # noqa: N818
    """A value that is no result; the text says what it is."""


class Returned:
    """Results by what they become."""

    def __init__(self) -> None:
        self.metrics = {}  # type: dict[str, Any]
        self.rows = {}  # type: dict[str, list[dict[str, Any]]]
        self.steps = []  # type: list[dict[str, Any]]
        self.not_kept = {}  # type: dict[str, str]

    def document(self) -> "dict[str, Any]":
        """Return what the file has."""
        found = {"metrics": self.metrics}  # type: dict[str, Any]
        if self.rows:
            found["rows"] = self.rows
        if self.not_kept:
            found["not_kept"] = self.not_kept
        return found


def sorted_out(value: "Any") -> Returned:
    """Return what a returned value becomes.

    A number, a text, true or false is the metric `result`. A dict or dataclass has metrics; those of its values that
    are lists are steps, if all have one length; lists of dicts are rows. So is a list of dicts alone."""
    found = Returned()
    if value is None:
        return found
    values = _fields(value)
    if values is None:
        if not _rows(RESULT, value, found):
            _metric(RESULT, value, found)
        return found
    columns = {name: _column(item) for name, item in values.items()}
    lists = {name: column for name, column in columns.items() if column is not None}
    if len({len(column) for column in lists.values()}) == 1:
        for place, items in enumerate(zip(*lists.values())):
            found.steps.append(_row(dict(zip(lists, items)), "step %d" % place, found))
        values = {name: item for name, item in values.items() if name not in lists}
    _metrics(values, "", found, 0)
    return found


def _rows(name: str, value: "Any", found: Returned) -> bool:
    """Take a list of dicts as rows; return whether it is one."""
    if not isinstance(value, (list, tuple)) or not value or any(_fields(item) is None for item in value):
        return False
    found.rows[name] = [_row(_fields(item), "row %d of %s" % (place, name), found) for place, item in enumerate(value)]
    return True


def _column(value: "Any") -> "Any":
    """Return a list of plain values, or an array of one dimension, as a list; else None."""
    try:
        if _attribute(value, "ndim") == 1 and callable(_attribute(value, "tolist")):
            value = value.tolist()
        if not isinstance(value, (list, tuple)) or not value or _fields(value) is not None:
            return None
        plain_values = [plain(item) for item in value]
    except Exception:  # noqa: BLE001 (of the user's classes, too: what it is tells the one that keeps it)
        return None
    return None if any(isinstance(item, (list, dict)) for item in plain_values) else plain_values


def _row(values: "Any", where: str, found: Returned) -> "dict[str, Any]":
    row = {}
    for name, value in values.items():
        why = _name_error(name)
        try:
            if why:
                raise NotKept(why)
            row[str(name)] = plain(value)
        except NotKept as error:
            found.not_kept.setdefault(str(name), "%s in %s" % (error, where))
    return row


def _metrics(values: "dict[Any, Any]", prefix: str, found: Returned, depth: int) -> None:
    for name, value in values.items():
        inner = None if depth > _DEEPEST else _fields(value)
        if inner is not None and not _name_error(name):
            _metrics(inner, "%s%s." % (prefix, name), found, depth + 1)
        elif _name_error(name) or not _rows(prefix + name, value, found):
            _metric(prefix + str(name), value, found)


def _metric(name: str, value: "Any", found: Returned) -> None:
    why = _name_error(name)
    try:
        if why:
            raise NotKept(why)
        if name in found.metrics:
            raise NotKept("the second of that name")
        found.metrics[name] = plain(value)
    except NotKept as error:
        found.not_kept[name] = str(error)


def _name_error(name: "Any") -> str:
    fine = isinstance(name, str) and name[:1] in _LETTERS and set(name) <= _MORE and len(name) <= LONGEST_NAME
    return "" if fine else "no name of a metric"


def _fields(value: "Any") -> "dict[Any, Any] | None":
    """Return a dict, dataclass or named tuple as a dict, else None."""
    if isinstance(value, dict):
        return value
    names = _attribute(value, "__dataclass_fields__") or _attribute(value, "_fields")
    if isinstance(names, (dict, tuple)) and names and not isinstance(value, type):
        return {name: _attribute(value, name) for name in names}
    return None


def _attribute(value: "Any", name: str) -> "Any":
    """Return an attribute; None where there is none. A class of the user may raise anything."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 (as above)
        return None


def plain(value: "Any") -> "Any":
    """Return a value as JSON has it; NaN and infinities stay. Raises NotKept."""
    try:
        return _plain(value, 0)
    except NotKept:
        raise
    except Exception as error:  # noqa: BLE001 (whatever the user's classes raise)
        raise NotKept("%s, and that raised %s" % (_kind(value), type(error).__name__))


def _plain(value: "Any", depth: int) -> "Any":
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise NotKept("a number of %d bits" % value.bit_length())
        return int(value)
    if isinstance(value, float):
        return float(value)
    if depth > _DEEPEST_VALUE:
        raise NotKept("%s in more than %d others" % (_kind(value), _DEEPEST_VALUE))
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item, depth + 1) for name, item in value.items()}
    size = _attribute(value, "size")
    item = _attribute(value, "item")
    if callable(item):
        count = size if isinstance(size, int) else (_attribute(value, "numel") or int)()
        if count == 1:  # a NumPy scalar, an array or tensor of one element
            single = item()
            if single is not value and isinstance(single, (bool, int, float, str)):
                return _plain(single, depth)
    member = _attribute(value, "value")
    if type(type(value)).__name__ in ("EnumMeta", "EnumType") and isinstance(member, (bool, int, float, str)):
        return member
    if hasattr(type(value), "__fspath__"):
        return os.fspath(value)
    raise NotKept(_kind(value))


def _kind(value: "Any") -> str:
    """Return what a value is."""
    kind = type(value)
    return "a %s.%s" % (kind.__module__, kind.__name__) if kind.__module__ != "builtins" else kind.__name__


def write(value: "Any", output: str, report: "Callable[[str], object]") -> None:
    """Keep what a function returned: steps as live metrics, the rest in a file of the task's folder. report: says what
    can't be kept. Raises OSError."""
    if value is None:
        write_file(os.path.join(output, FILE), NOTHING)
        return
    found = sorted_out(value)
    for place, row in enumerate(found.steps):
        row.setdefault("step", place)
        log(**row)
    for name, what in found.not_kept.items():
        report("returned %s can't be kept as a result: it is %s" % (name, what))
    write_json(os.path.join(output, FILE), found.document())


def write_metrics(value: "Any", output: str) -> None:
    """Keep the metrics of what the function of a stage before the last returned; the value itself is kept besides.
    Raises OSError."""
    found = Returned()
    fields = {RESULT: value} if _fields(value) is None else _fields(value)
    several = (list, tuple, type(None))
    single = {name: item for name, item in (fields or {}).items() if not isinstance(item, several) and _size(item) < 2}
    _metrics(single, "", found, 0)
    write_json(os.path.join(output, FILE), {"metrics": found.metrics})


def _size(value: "Any") -> int:
    """Return how many elements an array has; 0 for what is none."""
    size = _attribute(value, "size")
    return size if isinstance(size, int) else 0


def write_json(path: str, document: "Any", indent: "int | None" = None) -> None:
    """Write a file as a whole: no reader sees a part of it. Raises OSError."""
    write_file(path, json.dumps(document, indent=indent).encode() + b"\n")


def write_file(path: str, data: bytes) -> None:
    """Write a file as a whole. Raises OSError."""
    partial = "%s.%d.partial" % (path, os.getpid())
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)
    os.replace(partial, path)
