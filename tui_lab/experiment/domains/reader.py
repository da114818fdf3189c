"""Reads the values that a parameter may take."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tui_lab.experiment.domains.model import (
    Cases,
    Choice,
    Domain,
    Geomspace,
    Linspace,
    Listed,
    LogUniform,
    Number,
    RandInt,
    Range,
    Uniform,
    Value,
)
from tui_lab.experiment.names import name_error
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader, described

MAX_SIZE: Final = 10_000_000  # values of one parameter

_BOUNDS: Final = "[a, b]"
_SPACE: Final = "[start, stop, n]"


def read_domain(r: Reader, path: Keypath) -> Domain | None:
    """A scalar, a list, or a mapping with one kind of domain."""
    node = r.node(path)
    name = path[-1]
    if node.kind == "list":
        return _listed(r, path)
    if node.kind == "scalar":
        if node.value is None:
            r.add(path, f'parameter "{name}" has no value', "write [null] for the value null")
            return None
        return Listed(values=(node.value,))
    kinds = r.keys(path)
    if len(kinds) != 1:
        if not r.misread(path):
            found = " and ".join(f'"{kind}"' for kind in kinds) or "none"
            hint = f"a mapping as a value stands in a list; kinds are {', '.join(KINDS)}"
            r.add(path, f"a domain has one kind, and this has {found}", hint)
        return None
    kind = kinds[0]
    if kind not in KINDS:
        if not r.empty((*path, kind)) or not r.misread(path):
            hint = (
                _meant(r, path, kind)
                or suggest(kind, KINDS)
                or f"kinds are {', '.join(KINDS)}; a mapping as a value stands in a list"
            )
            r.add((*path, kind), f'"{kind}" is no kind of domain', hint, at_key=True)
        return None
    return KINDS[kind](r, (*path, kind))


# What other tools call these kinds.
_ELSEWHERE: Final = {
    "logspace": "geomspace",
    "log": "geomspace",
    "geometric": "geomspace",
    "linear": "linspace",
    "arange": "range",
    "log_uniform": "loguniform",
    "integers": "randint",
    "int": "randint",
    "categorical": "choice",
}
_LISTS: Final = ("values", "value", "list", "options", "in", "grid")


def _meant(r: Reader, path: Keypath, kind: str) -> str:
    """A hint for a key that has a counterpart here; empty for others."""
    if kind in _LISTS:
        return f"write the list itself, as in {path[-1]}: [1, 2]"
    if kind in _ELSEWHERE:
        return f'did you mean "{_ELSEWHERE[kind]}"?'
    if isinstance(path[-1], str) and r.node((*path, kind)).kind == "list" and not suggest(kind, KINDS):
        return f"a parameter of a group has a dot in its name, as in {path[-1]}.{kind}: [1, 2]"
    return ""


_CALL: Final = re.compile(
    r"(?:np\.|numpy\.)?(range|arange|linspace|geomspace|logspace|uniform|loguniform|randint|choice)\((.*)\)"
)


_SPAN: Final = re.compile(r"(\{)?(-?\d{1,18})\.\.(-?\d{1,18})(?:\.\.(-?\d{1,18}))?(?(1)\})")


def called_like(text: str) -> tuple[str, str] | None:
    """The kind of domain, and what stands in its list, of a text that looks like a call in Python, `range(0, 3)`, or
    like what a shell makes several words of, `{1..3}`."""
    if span := _SPAN.fullmatch(text.strip()):
        first, last = int(span[2]), int(span[3])
        step = (abs(int(span[4] or 1)) or 1) * (1 if last >= first else -1)
        return "range", f"{first}, {last + (1 if step > 0 else -1)}" + (f", {step}" if step != 1 else "")
    call = _CALL.fullmatch(text.strip())
    if call is None:
        return None
    if call[1] == "logspace":
        return "geomspace", _powers(call[2])
    stop_alone = call[1] in ("range", "arange") and "," not in call[2]
    return "range" if call[1] == "arange" else call[1], f"0, {call[2]}" if stop_alone else call[2].strip()


def _powers(arguments: str) -> str:
    """What geomspace takes where NumPy's logspace takes exponents of 10."""
    try:
        low, high, *count = (float(argument) for argument in arguments.split(","))
        return f"{10**low:g}, {10**high:g}, {int(count[0]) if count else 50}"
    except (ValueError, OverflowError):
        return "start, stop, n"


def looks_like_domain(r: Reader, path: Keypath) -> bool:
    """Whether a value is written like a domain other than a list."""
    keys = r.keys(path)
    return len(keys) == 1 and keys[0] in KINDS


def _values(r: Reader, path: Keypath) -> tuple[Value, ...] | None:
    node = r.node(path)
    if node.kind != "list":
        r.wrong(path, "a list of values")
        return None
    if not node.items:
        r.add(path, "an empty list of values", "give at least one value")
        return None
    for i in range(len(node.items)):
        if looks_like_domain(r, (*path, i)):
            r.add(
                (*path, i),
                "a domain can't stand inside a list",
                "write it without the list, or list its values",
            )
            return None
        if r.document.is_bare_set(node.items[i]) and r.misread((*path, i)):
            return None
    return tuple(node.plain())


def _listed(r: Reader, path: Keypath) -> Listed | None:
    values = _values(r, path)
    return None if values is None else Listed(values=values)


def _choice(r: Reader, path: Keypath) -> Choice | None:
    values = _values(r, path)
    return None if values is None else Choice(values=values)


def _numbers(r: Reader, path: Keypath, form: str, least: int, most: int) -> list[Number] | None:
    """The numbers of a domain, as many as its form says."""
    node = r.node(path)
    if node.kind != "list":
        r.add(path, f'"{path[-1]}" takes {form}, not {described(node)}')
        return None
    if not least <= len(node.items) <= most:
        r.add(path, f'"{path[-1]}" takes {form}, not {len(node.items)} values')
        return None
    numbers = [r.number((*path, i)) for i in range(len(node.items))]
    found = [n for n in numbers if n is not None]
    return found if len(found) == len(numbers) else None


def _range(r: Reader, path: Keypath) -> Range | None:
    numbers = _numbers(r, path, "[start, stop] or [start, stop, step]", 2, 3)
    if numbers is None:
        return None
    if len(numbers) == 3 and numbers[2] == 0:
        r.add((*path, 2), "the step of a range can't be 0")
        return None
    domain = Range(start=numbers[0], stop=numbers[1], step=numbers[2] if len(numbers) == 3 else 1)
    if domain.size == 0:
        r.add(path, "this range is empty", "it goes from start by step, and leaves stop out")
        return None
    return domain if _not_too_large(r, path, domain.size) else None


def _not_too_large(r: Reader, path: Keypath, size: int) -> bool:
    if size > MAX_SIZE:
        r.add(path, f"a parameter with {size:,} values", f"{MAX_SIZE:,} are allowed")
    return size <= MAX_SIZE


def _space(r: Reader, path: Keypath) -> tuple[Number, Number, int] | None:
    """Start, stop and n."""
    numbers = _numbers(r, path, _SPACE, 3, 3)
    if numbers is None:
        return None
    n = r.whole((*path, 2), most=None)
    if n is None:
        return None
    if n < 1:
        r.add((*path, 2), f'the n of "{path[-1]}" must be at least 1, not {n}')
        return None
    return (numbers[0], numbers[1], n) if _not_too_large(r, path, n) else None


def _linspace(r: Reader, path: Keypath) -> Linspace | None:
    space = _space(r, path)
    return None if space is None else Linspace(start=space[0], stop=space[1], n=space[2])


def _geomspace(r: Reader, path: Keypath) -> Geomspace | None:
    space = _space(r, path)
    if space is None:
        return None
    start, stop, n = space
    if start == 0 or stop == 0 or (start < 0) != (stop < 0):
        r.add(path, '"geomspace" can\'t reach or cross 0', "start and stop have the same sign")
        return None
    return Geomspace(start=start, stop=stop, n=n)


def _bounds(r: Reader, path: Keypath) -> tuple[Number, Number] | None:
    numbers = _numbers(r, path, _BOUNDS, 2, 2)
    if numbers is None:
        return None
    a, b = numbers
    if a > b or (a == b and path[-1] != "randint"):
        r.add(path, f'the first number of "{path[-1]}" must be below the second', "write [low, high]")
        return None
    return a, b


def _uniform(r: Reader, path: Keypath) -> Uniform | None:
    bounds = _bounds(r, path)
    return None if bounds is None else Uniform(a=bounds[0], b=bounds[1])


def _loguniform(r: Reader, path: Keypath) -> LogUniform | None:
    bounds = _bounds(r, path)
    if bounds is not None and bounds[0] <= 0:
        r.add((*path, 0), 'the numbers of "loguniform" must be above 0')
        return None
    return None if bounds is None else LogUniform(a=bounds[0], b=bounds[1])


def _randint(r: Reader, path: Keypath) -> RandInt | None:
    if _bounds(r, path) is None:
        return None
    a, b = r.whole((*path, 0), most=None), r.whole((*path, 1), most=None)
    return None if a is None or b is None else RandInt(a=a, b=b)


def _cases(r: Reader, path: Keypath) -> Cases | None:
    node = r.node(path)
    if node.kind != "mapping":
        r.wrong(path, "a mapping of named cases")
        return None
    if not node.entries:
        r.add(path, '"cases" is empty', "give at least one case")
        return None
    cases: dict[str, dict[str, Value]] = {}
    fine = True
    for case in node.entries:
        at = (*path, case)
        if r.node(at).kind != "mapping":
            r.add(at, f'case "{case}" must be a mapping of parameters and values, not {described(r.node(at))}')
            fine = False
            continue
        for inner in r.keys(at):
            if error := name_error(inner):
                r.add((*at, inner), *error, at_key=True)
                fine = False
            if looks_like_domain(r, (*at, inner)):
                r.add((*at, inner), "a case sets one value, not a domain")
                fine = False
        cases[case] = r.plain(at)
    return Cases(cases=cases) if fine and _same_names(r, path, cases) else None


def _same_names(r: Reader, path: Keypath, cases: dict[str, dict[str, Value]]) -> bool:
    """Whether all cases set the same parameters; the first case is the measure."""
    first, *others = cases
    expected = cases[first]
    fine = bool(expected)
    if not expected:
        r.add((*path, first), f'case "{first}" sets no parameter')
    for case in others:
        missing = [name for name in expected if name not in cases[case]]
        extra = [name for name in cases[case] if name not in expected]
        if missing or extra:
            fine = False
        for name in missing:
            near = suggest(name, extra).replace("did you mean", "or is it")
            r.add(
                (*path, case),
                f'case "{case}" does not set "{name}", but case "{first}" does',
                near,
                at_key=True,
            )
        for name in extra if not missing else ():
            r.add((*path, case, name), f'case "{case}" sets "{name}", but case "{first}" does not', at_key=True)
    return fine


KINDS: Final[dict[str, Callable[[Reader, Keypath], Domain | None]]] = {
    "range": _range,
    "linspace": _linspace,
    "geomspace": _geomspace,
    "cases": _cases,
    "uniform": _uniform,
    "loguniform": _loguniform,
    "randint": _randint,
    "choice": _choice,
}
