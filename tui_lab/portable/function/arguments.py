"""From the parameters of a task to the arguments of its function.

Each task is a process of its own, and `inspect` and `typing` take as long to import as Python takes to start: they are
imported only for what needs them.
"""

import types

from .kinds import Kind, Misfit, Plain, Record, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIG = "cfg"  # the argument that takes all parameters, where it is the only one
POSITIONAL, NAMED = "positional", "named"
_PLAIN = {"bool": bool, "int": int, "float": float, "str": str}  # types: names of plain kinds
_VARKEYWORDS = 0x08  # a flag of code: it has `**kwargs`


class Taken:
    """What a function takes. `arguments`: how each is passed, whether it has a default, and which, by name."""

    def __init__(self, arguments: "dict[str, tuple[str, bool, Any]]", takes_all: bool) -> None:
        self.arguments = arguments
        self.takes_all = takes_all


def taken_by(function: "Any") -> "Taken | None":
    """Return what a function takes; None for C code that does not tell."""
    if type(function) is types.FunctionType and not hasattr(function, "__wrapped__"):
        return _of_code(function)
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    single = [one for one in parameters if one.kind not in several]
    arguments = {}
    for one in single:
        way = POSITIONAL if one.kind is inspect.Parameter.POSITIONAL_ONLY else NAMED
        arguments[one.name] = (way, one.default is not one.empty, one.default)
    return Taken(arguments, any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters))


def _of_code(function: "Any") -> Taken:
    code = function.__code__
    only = getattr(code, "co_posonlyargcount", 0)
    positional = code.co_varnames[: code.co_argcount]
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = dict(zip(reversed(positional), reversed(function.__defaults__ or ())))
    defaults.update(function.__kwdefaults__ or {})
    arguments = {}
    for place, name in enumerate(positional + named):
        arguments[name] = (POSITIONAL if place < only else NAMED, name in defaults, defaults.get(name))
    return Taken(arguments, bool(code.co_flags & _VARKEYWORDS))


def kinds_of(function: "Any", names: "list[str]") -> "dict[str, Kind]":
    """Return the kinds of arguments that have an annotation."""
    annotations = getattr(function, "__annotations__", None) or {}
    found = {}  # type: dict[str, Kind]
    for name in names:
        if name not in annotations:
            continue
        for plain, kind in _PLAIN.items():
            if annotations[name] is kind or annotations[name] == plain:
                found[name] = Plain(plain)
        if name not in found:
            from .hints import hints_of, kind_of

            hint = hints_of(function).get(name)
            found[name] = Kind() if hint is None else kind_of(hint)
    return found


def arguments(
    function: "Any",
    parameters: "dict[str, Any]",
    seed: "tuple[str, int]",
    taken: "Taken | None" = None,
    kinds: "dict[str, Kind] | None" = None,
    ready: "dict[str, Any] | None" = None,
) -> "tuple[list[Any], Any]":
    """Return the positional and the named arguments of a call. seed: the argument that takes it, and its value. taken,
    kinds: what the function takes, where that is known. ready: further arguments, which are passed as they are. Raises
    Misfit."""
    given = nested(parameters)
    ready = ready or {}
    taken = taken or taken_by(function)
    if taken is None:
        return [], dict(given, **ready)
    names = taken.arguments
    if list(names) == [CONFIG] and names[CONFIG][0] == NAMED and not taken.takes_all:
        kind = (kinds_of(function, [CONFIG]) if kinds is None else kinds).get(CONFIG)
        return [kind.convert(given) if isinstance(kind, Record) else given], {}
    name, value = seed
    if name in names and name not in given:
        given[name] = value
    for one in list(given) + list(ready):
        if one not in names and not taken.takes_all:
            raise Misfit("there is no argument %s; it takes %s" % (one, ", ".join(names) or "none"))
    if kinds is None:
        kinds = kinds_of(function, [one for one in names if one in given])
    found = {}
    positional = []
    for one, (way, has_default, default) in names.items():
        if one in ready:
            if way == POSITIONAL:
                positional.append(ready[one])
            continue
        if given.get(one) is None and has_default:  # as where a combination leaves it out
            if way == POSITIONAL:
                positional.append(default)
            continue
        if one not in given:
            raise Misfit("nothing gives the argument %s, which has no default" % one)
        converted = within(one, kinds[one], given[one]) if one in kinds else given[one]
        if way == POSITIONAL:
            positional.append(converted)
        else:
            found[one] = converted
    found.update((one, value) for one, value in given.items() if one not in names)
    found.update((one, value) for one, value in ready.items() if one not in names or names[one][0] == NAMED)
    return positional, found


def nested(parameters: "dict[str, Any]") -> "dict[str, Any]":
    """Return dotted names as nested dictionaries: {"opt.lr": 1} is {"opt": {"lr": 1}}. A name that is both stays."""
    tree = {}  # type: dict[str, Any]
    for name, value in parameters.items():
        parents = name.split(".")
        leaf = parents.pop()
        place = tree  # type: Any
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if isinstance(place, dict) and not isinstance(place.get(leaf), dict):
            place[leaf] = value
        else:
            tree[name] = value
    return tree
