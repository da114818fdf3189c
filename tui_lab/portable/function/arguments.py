"""From the parameters of a task to the arguments of its function."""

import inspect

from .hints import hints_of, kind_of
from .kinds import Kind, Misfit, Record, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIG = "cfg"  # the argument that takes all parameters, where it is the only one


def arguments(function: "Any", parameters: "dict[str, Any]", seed: "tuple[str, int]") -> "tuple[list[Any], Any]":
    """Return the positional and the named arguments of a call. seed: the argument that takes it, and its value. Raises
    Misfit."""
    given = nested(parameters)
    try:
        taken = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of C code that does not tell
        return [], given
    kinds = {one.kind for one in taken.values()}
    if list(taken) == [CONFIG] and taken[CONFIG].kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD,):
        kind = _kind(function, taken[CONFIG])
        return [kind.convert(given) if isinstance(kind, Record) else given], {}
    name, value = seed
    if name in taken and name not in given:
        given[name] = value
    takes_all = inspect.Parameter.VAR_KEYWORD in kinds
    found = {}
    positional = []
    for one in given:
        if one not in taken and not takes_all:
            names = ", ".join(taken) or "none"
            raise Misfit("there is no argument %s; it takes %s" % (one, names))
    for one, parameter in taken.items():
        if given.get(one, parameter) is None and parameter.default is not parameter.empty:
            continue  # as where a combination leaves it out
        if one not in given:
            if parameter.default is parameter.empty and parameter.kind not in (
                inspect.Parameter.VAR_KEYWORD,
                inspect.Parameter.VAR_POSITIONAL,
            ):
                raise Misfit("nothing gives the argument %s, which has no default" % one)
            continue
        converted = within(one, _kind(function, parameter), given[one])
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            positional.append(converted)
        else:
            found[one] = converted
    found.update((one, value) for one, value in given.items() if one not in taken)
    return positional, found


def _kind(function: "Any", parameter: inspect.Parameter) -> Kind:
    hint = hints_of(function).get(parameter.name)
    return Kind() if hint is None else kind_of(hint)


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
