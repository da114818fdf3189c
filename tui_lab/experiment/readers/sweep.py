"""Reads what says which tasks there are: parameters, defaults, zip, where, derive, sample, repeat, seed."""

from __future__ import annotations

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.reader import MAX_SIZE, looks_like_domain, read_domain
from tui_lab.experiment.model import Repeat, Sample, Seed, SeedPer
from tui_lab.experiment.record import Fields, keys_of
from tui_lab.experiment.yaml.reader import Keypath, Reader

PER: tuple[SeedPer, ...] = ("repeat", "task")


def read_parameters(r: Reader, path: Keypath) -> tuple[dict[str, Domain], ...]:
    """One sweep, or a list of them. What is wrong is noted and left out."""
    if r.empty(path):
        return ()
    node = r.node(path)
    if node.kind == "list":
        if not node.items:
            r.add(path, '"parameters" is an empty list', "leave it out, or give at least one sweep")
        return tuple(_sweep(r, item) for item in r.items(path))
    return (_sweep(r, path),)


def sweep_paths(r: Reader) -> list[Keypath]:
    """Where each sweep stands in the file."""
    path: Keypath = ("parameters",)
    return [] if r.empty(path) else r.items(path)


def _sweep(r: Reader, path: Keypath) -> dict[str, Domain]:
    if r.empty(path) and isinstance(path[-1], int):
        r.add(path, "this sweep is empty", "write {} for one task with all defaults")
        return {}
    if not r.is_mapping(path, "a mapping of parameters"):
        return {}
    sweep: dict[str, Domain] = {}
    for name in r.keys(path):
        domain = read_domain(r, (*path, name))
        if domain is not None:
            sweep[name] = domain
    return sweep


def read_defaults(r: Reader, path: Keypath) -> dict[str, Value]:
    """Return the values of parameters that a sweep leaves out."""
    if r.empty(path) or not r.is_mapping(path, "a mapping of parameters and values"):
        return {}
    for name in r.keys(path):
        if looks_like_domain(r, (*path, name)):
            r.add((*path, name), "a default is one value, not a domain", 'domains stand in "parameters"')
    defaults: dict[str, Value] = r.plain(path)
    return defaults


def read_zip(r: Reader, path: Keypath) -> tuple[tuple[str, ...], ...]:
    """Groups of names; which names they are is checked when all are known."""
    if r.empty(path):
        return ()
    node = r.node(path)
    if node.kind != "list":
        r.wrong(path, "a list of groups, such as [[lr, warmup]]")
        return ()
    if node.items and all(item.kind == "scalar" for item in node.items):
        names = ", ".join(item.text for item in node.items)
        r.add(path, '"zip" is a list of groups', f"write [[{names}]]")
        return ()
    groups = []
    for item in r.items(path):
        if r.node(item).kind != "list":
            r.wrong(item, "a list of parameters")
            continue
        group = r.texts(item)
        if len(r.node(item).items) < 2:
            r.add(item, "a group that advances together needs two parameters or more")
        groups.append(group)
    return tuple(groups)


def read_derive(r: Reader, path: Keypath) -> dict[str, str]:
    """Return the SQL expression of each derived parameter."""
    if r.empty(path) or not r.is_mapping(path, "a mapping of parameters and SQL expressions"):
        return {}
    found = {name: r.text((*path, name)) for name in r.keys(path)}
    return {name: text for name, text in found.items() if text is not None}


def read_sample(r: Reader, path: Keypath) -> Sample | None:
    """Return the sample: a number of combinations, or a mapping. None after noting what is wrong."""
    if r.empty(path):
        return None
    if type(r.node(path).value) is int:
        n = r.whole(path, 1, MAX_SIZE)
        return None if n is None else Sample(n=n)
    if not r.is_mapping(path, "a mapping, such as {n: 50}"):
        return None
    keys = r.fields(path, keys_of(Sample), '"sample"')
    found: Fields = {}
    if "n" not in keys:
        r.add(path, '"sample" needs "n", the number of combinations', at_key=True)
    else:
        found["n"] = r.whole((*path, "n"), 1, MAX_SIZE)
    if "seed" in keys:
        found["seed"] = r.whole((*path, "seed"), most=None)
    return Sample(**found) if "n" in found and None not in found.values() else None


def read_repeat(r: Reader, path: Keypath) -> int | Repeat | None:
    """A number of repeats, or from how many to how many and until what."""
    node = r.node(path)
    if node.kind != "mapping":
        return r.whole(path, 1, MAX_SIZE)
    keys = r.fields(path, keys_of(Repeat), '"repeat"')
    found: Fields = {key: r.whole((*path, key), 1, MAX_SIZE) for key in ("min", "max") if key in keys}
    if "until" in keys:
        found["until"] = r.text((*path, "until"))
    if len(keys) < len(r.keys(path)):
        return None  # a misspelt key is the reason for a missing one
    if "until" not in keys:
        wanted = found.get("max") or found.get("min") or 10
        hint = f"add until: 'ci95(METRIC) < 0.1', or write repeat: {wanted}"
        r.add(path, '"repeat" needs "until", the condition that ends the repeats', hint, at_key=True)
    if "max" not in keys:
        hint = "add, for instance, max: 30"
        r.add(path, '"repeat" needs "max", because the condition may never be true', hint, at_key=True)
    if len(found) < 2 or None in found.values() or not {"max", "until"} <= found.keys():
        return None
    repeat = Repeat(**found)
    if repeat.min > repeat.max:
        where = (*path, "min") if "min" in keys else (*path, "max")
        r.add(where, f'"min" ({repeat.min}) is larger than "max" ({repeat.max})')
        return None
    return repeat


def read_seed(r: Reader, path: Keypath) -> Seed | None:
    """Return the base of the seeds and what shares them, or None after noting what is wrong."""
    node = r.node(path)
    if node.kind != "mapping":
        base = r.whole(path, most=None)
        return None if base is None else Seed(base=base)
    found: Fields = {}
    keys = r.fields(path, keys_of(Seed), '"seed"')
    if "base" in keys:
        found["base"] = r.whole((*path, "base"), most=None)
    if "per" in keys:
        found["per"] = r.one_of((*path, "per"), PER)
    return None if None in found.values() else Seed(**found)
