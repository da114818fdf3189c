"""Reads what a task needs, what the running tasks share, and what is fetched from a node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from tui_lab.experiment.names import name_error
from tui_lab.experiment.needs import OF_A_NODE, RESERVED, Amount, Keep, NeedError, Needs, amount, too_many
from tui_lab.experiment.record import Fields, keys_of
from tui_lab.experiment.shell.placeholders import PlaceholderError
from tui_lab.experiment.shell.template import fill, names_in
from tui_lab.experiment.units import MEMORY_HINT, memory
from tui_lab.experiment.yaml.problem import Suggestion, suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader

# What other tools call the needs.
_ELSEWHERE: Final = {"gpu": "gpus", "cpu": "cpus", "cores": "cpus", "threads": "cpus", "mem": "memory", "ram": "memory"}
_HINTS: Final = {
    "memory": MEMORY_HINT,
    "gpus": "2 takes two cards, 0.5 half of one",
    "cpus": "such as 4",
    "exclusive": "",
}
_TRIED: Final = 10_000  # values of a parameter
_TOO_EARLY: Final = ("node", "slot")  # placeholders that get their values where the needs are met


def read_needs(r: Reader, path: Keypath) -> Needs | None:
    """A mapping of needs; each is one amount, or a list of amounts by attempt."""
    if r.empty(path) or not r.is_mapping(path, "a mapping, such as {gpus: 1, memory: 4G}"):
        return None
    limits = r.keys(("limits",))
    known = (*OF_A_NODE, *limits)
    found: Fields = {}
    tokens: dict[str, tuple[Amount, ...]] = {}
    resources: dict[str, tuple[Amount, ...]] = {}
    for name in r.keys(path):
        if name not in known and _is_misspelt(r, (*path, name), known):
            continue
        amounts = _amounts(r, (*path, name), name)
        if amounts is None:
            continue
        if name in OF_A_NODE:
            found[name] = amounts
        else:
            (tokens if name in limits else resources)[name] = amounts
    return Needs(**found, tokens=tokens, resources=resources)


def _is_misspelt(r: Reader, path: Keypath, known: Collection[str]) -> bool:
    """Whether a name is meant to be one of the known ones, or can be none of a resource; that is noted."""
    name = str(path[-1])
    other = _ELSEWHERE.get(name.lower())
    hint = Suggestion(name, other) if other else suggest(name, known)
    if hint:
        message = f'"{name}" is neither {", ".join(OF_A_NODE)} nor one of "limits"'
        r.add(path, message, hint, at_key=True)
    elif error := name_error(name):
        r.add(path, *error, at_key=True)
    elif name in RESERVED:
        r.add(path, f'"{name}" can\'t be the name of a resource', at_key=True)
    else:
        return False
    return True


def _amounts(r: Reader, path: Keypath, name: str) -> tuple[Amount, ...] | None:
    items = r.items(path)
    if not items:
        r.add(path, f'"{name}" is an empty list', "give an amount for each attempt; later ones take the last")
        return None
    found = [_amount(r, item, name) for item in items]
    return None if None in found else tuple(one for one in found if one is not None)


def _amount(r: Reader, path: Keypath, name: str) -> Amount | None:
    """An amount, or a text with a placeholder."""
    if r.empty(path):
        r.wrong(path, "an amount")
        return None
    text = r.text(path)
    if text is None or "{" in text:
        return text
    return check_amount(r, path, name, text)


def check_amount(r: Reader, path: Keypath, name: str, text: str) -> Amount | None:
    """The amount in a text; what can't be read is noted."""
    try:
        return amount(name, text)
    except NeedError as error:
        r.add(path, str(error), _HINTS.get(name, "such as 1"))
        return None


def read_limits(r: Reader, path: Keypath) -> dict[str, int] | None:
    """Return how many of each token all tasks together may hold, or None after noting what is wrong."""
    if r.empty(path) or not r.is_mapping(path, "a mapping, such as {license: 2}"):
        return None
    limits: dict[str, int] = {}
    for name in r.keys(path):
        if error := name_error(name):
            r.add((*path, name), *error, at_key=True)
        elif name in OF_A_NODE:
            r.add((*path, name), f'"{name}" is offered by nodes and can have no limit', at_key=True)
        elif (count := r.whole((*path, name), 1)) is not None:
            limits[name] = count
    return limits


def read_keep(r: Reader, path: Keypath) -> Keep | None:
    """Globs, or a mapping of globs and the most that may come."""
    if r.empty(path):
        return None
    if r.node(path).kind != "mapping" or r.misread(path):
        return None if r.node(path).kind == "mapping" else Keep(globs=_globs(r, path))
    keys = r.fields(path, keys_of(Keep), '"keep"')
    found: Fields = {}
    if "globs" in keys and not r.empty((*path, "globs")):
        found["globs"] = _globs(r, (*path, "globs"))
    if "most" in keys:
        text = r.text((*path, "most"))
        if text is None:
            return None
        try:
            found["most"] = memory(text)
        except ValueError as error:
            r.add((*path, "most"), str(error).replace("the memory ", "").replace(" of memory", ""), MEMORY_HINT)
    return Keep(**found)


def _globs(r: Reader, path: Keypath) -> tuple[str, ...]:
    return read_globs(r, path, "{output}", "globs are relative to the task's folder")


def read_globs(
    r: Reader,
    path: Keypath,
    inside: str = "the experiment's folder",
    hint: str = "globs start in the folder of this file: move the file up, or make a link there",
) -> tuple[str, ...]:
    """Globs of `code` and `inputs`, by default."""
    globs = r.texts(path)
    single = r.node(path).kind == "scalar"
    for i, text in enumerate(globs):
        if text.startswith(("/", "~/")) or text == "~" or ".." in text.split("/"):
            r.add(path if single else (*path, i), f'"{text}" is not inside {inside}', hint)
    return globs


# --- Together with other keys


def placeholder_needs(r: Reader, given: Fields, at: Keypath = ()) -> Iterator[tuple[Keypath, str, str]]:
    """The amounts with placeholders: path, name of the need, text. at: of the stage that has the needs, if one does."""
    for path, name, found in _each(r, given, at):
        if isinstance(found, str):
            yield path, name, found


def _each(r: Reader, given: Fields, at: Keypath) -> Iterator[tuple[Keypath, str, Amount]]:
    needs: Needs = given.get("needs") or Needs()
    for name, amounts in {
        **{name: getattr(needs, name) for name in OF_A_NODE},
        **needs.tokens,
        **needs.resources,
    }.items():
        paths = r.items((*at, "needs", name)) if amounts else []
        for path, found in zip(paths, amounts, strict=True):
            yield path, name, found


def check_needs(r: Reader, given: Fields, known: Collection[str], at: Keypath = ()) -> tuple[str, ...]:
    """Notes needs that could never be met, and placeholders whose values make no sense; returns the notices. at: of the
    stage that has the needs, if one does."""
    limits: Mapping[str, int] = given.get("limits") or {}
    for path, name, found in _each(r, given, at):
        for value in _values(r, path, name, found, given, known):
            if name in limits and value > limits[name]:
                r.add(path, f"{too_many(name, value, limits[name])}, so it could never start")
    taken = (given.get("needs") or Needs()).tokens
    unused = (name for name in limits if name not in taken)
    return tuple(str(r.problem(("limits", name), f'no task needs "{name}"', at_key=True)) for name in unused)


def _values(
    r: Reader, path: Keypath, name: str, found: Amount, given: Fields, known: Collection[str]
) -> Iterator[bool | int | float]:
    """The amount; of a text with one parameter, what it is for each of the values that are written out."""
    if not isinstance(found, str):
        yield found
        return
    try:
        used = names_in(found, known)
    except PlaceholderError:
        return  # noted already
    for early in sorted(used & set(_TOO_EARLY) - set(_parameters(given))):
        r.add(path, f"{{{early}}} is not known before a task has a node", "a need can't depend on it")
        return
    if len(used) != 1:
        return
    parameter = next(iter(used))
    for value in _parameters(given).get(parameter, []):
        try:
            yield amount(name, fill(found, {parameter: value}, known=known))
        except (NeedError, PlaceholderError) as error:
            r.add(path, f'where "{parameter}" is {value}: {error}', _HINTS.get(name, "such as 1"))
            return


def _parameters(given: Fields) -> dict[str, list[Any]]:
    """The values that each parameter may take, as far as the file says them and they are not too many to try."""
    values: dict[str, list[Any]] = {}
    for sweep in given.get("parameters") or ():
        for name, domain in sweep.items():
            if domain.listed and domain.size is not None and domain.size <= _TRIED:
                values.setdefault(name, []).extend(domain.listing())
            for inner in domain.inner_names:
                values.setdefault(inner, []).extend(domain.inner_values(inner, None))
    for name, value in (given.get("defaults") or {}).items():
        values.setdefault(name, []).append(value)
    return values
