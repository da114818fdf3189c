"""The kinds of a function's arguments, from the function itself."""

import collections.abc
import enum
import inspect
import pathlib
import re
import sys
import typing

from .kinds import Either, Entries, Items, Kind, Member, OneOf, Plain, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PLAIN = {bool: "bool", int: "int", float: "float", str: "str", type(None): "None"}
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def hints_of(what: "Any") -> "dict[str, Any]":
    """Return the annotations of a function or class, as far as they can be resolved."""
    try:
        return typing.get_type_hints(what)
    except Exception:  # noqa: BLE001 (a name that is imported for type checkers only, and the like)
        pass
    names = getattr(sys.modules.get(what.__module__), "__dict__", {})
    found = {}
    for name, hint in getattr(what, "__annotations__", {}).items():
        try:
            found[name] = _evaluated(hint, names) if isinstance(hint, str) else hint
        except Exception:  # noqa: BLE001 (as above)
            pass
    return found


def _evaluated(hint: str, names: "dict[str, Any]") -> "Any":
    """Return what an annotation means, also `A | B` before Python 3.10 has that."""
    parts = re.split(r"\|(?![^\[]*\])", hint)
    found = tuple(eval(part, dict(names)) for part in parts)  # noqa: S307 (as typing does)
    return typing.Union[found] if len(found) > 1 else found[0]


def kind_of(hint: "Any", seen: "tuple[Any, ...]" = ()) -> Kind:
    """Return the kind that an annotation says; anything where it says nothing that is known here."""
    try:
        return _kind_of(hint, seen)
    except TypeError:  # not hashable, not a class, or of another version of typing
        return Kind()


def _kind_of(hint: "Any", seen: "tuple[Any, ...]") -> Kind:
    if hint in _PLAIN:
        return Plain(_PLAIN[hint])
    origin = getattr(hint, "__extra__", None) or getattr(hint, "__origin__", None)
    inner = [one for one in getattr(hint, "__args__", None) or () if not isinstance(one, typing.TypeVar)]
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        return Either([kind_of(one, seen) for one in inner])
    if str(origin) in ("typing.Literal", "typing_extensions.Literal"):
        return OneOf(inner)
    if str(origin) in ("typing.Annotated", "typing_extensions.Annotated") or hasattr(hint, "__metadata__"):
        return kind_of(hint.__origin__, seen)
    base = origin or hint
    if base in (tuple, typing.Tuple):
        if inner and inner[-1] is not Ellipsis:
            return Items([kind_of(one, seen) for one in inner], True, tuple, "a list of %d values" % len(inner))
        return Items([kind_of(inner[0], seen) if inner else Kind()], False, tuple, "a list")
    if base in (set, frozenset, collections.abc.Set):
        make = frozenset if base is frozenset else set  # type: Callable[[list[Any]], Any]
        return Items([kind_of(inner[0], seen) if inner else Kind()], False, make, "a list")
    if base in _LISTS:
        return Items([kind_of(inner[0], seen) if inner else Kind()], False, list, "a list")
    if base in _DICTS:
        return Entries(kind_of(inner[1], seen) if len(inner) > 1 else Kind())
    if not inspect.isclass(hint) or hint in seen:
        return Kind()
    if issubclass(hint, enum.Enum):
        members = {name: one.value for name, one in hint.__members__.items()}  # with aliases
        return Member(members, hint.__getitem__)
    if issubclass(hint, pathlib.PurePath):
        return Path(hint)
    if hasattr(hint, "__dataclass_fields__"):
        return Record(hint.__name__, _fields(hint, seen + (hint,)), hint)
    return Kind()


class Path(Kind):
    """A path, from text."""

    name = "a path"

    def __init__(self, make: "Callable[[str], Any]") -> None:
        self.make = make

    def convert(self, value: "Any") -> "Any":
        """Return the path."""
        if not isinstance(value, str):
            raise self.refuse(value)
        return self.make(value)


def _fields(record: "Any", seen: "tuple[Any, ...]") -> "dict[str, tuple[Kind, bool]]":
    hints = hints_of(record)
    found = {}
    for name, parameter in inspect.signature(record).parameters.items():
        found[name] = (kind_of(hints.get(name), seen), parameter.default is parameter.empty)
    return found
