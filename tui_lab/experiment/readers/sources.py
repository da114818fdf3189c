"""Reads where metrics and rows are: which kind of source a mapping has, and the kind's keys."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from tui_lab.experiment.record import Fields
from tui_lab.experiment.registry import PluginError, Registry
from tui_lab.experiment.source import S, keys
from tui_lab.experiment.yaml.reader import Keypath, Reader


def read_kind(
    r: Reader, path: Keypath, registry: Registry[type[S]], common: Collection[str], owner: str, one: str
) -> type[S] | None:
    """Return the kind of source of a mapping, or None after noting that it has none, or several; and note keys that no
    kind has. common: keys besides those of the source. owner and one: this mapping, and one like it, for messages."""
    own_keys = keys(registry.own.values())
    given = r.keys(path)
    others = [key for key in given if key not in own_keys and key not in common]
    # Other packages are looked for only where a key is none of this program.
    names = [key for key in given if key in registry.own or (key in others and key in registry)]
    kinds = []
    for name in names:
        try:
            kinds.append(registry[name])
        except PluginError as error:
            r.add((*path, name), str(error), at_key=True)
            return None
    if others:
        known = dict.fromkeys((*own_keys, *registry, *keys(kinds), *common))
        others = [key for key in others if key not in known]
        r.fields(path, known, one)
    if not kinds:
        if not others:  # else a misspelt key is the reason
            r.add(path, f"{owner} has no source", f"give one of {', '.join(registry)}", at_key=True)
        return None
    chosen = next((kind for kind in kinds if set(names) <= set(kind.schemas)), None)
    if chosen is None:
        hint = f"{one} comes from one of them"
        r.add((*path, names[1]), f'{owner} has both "{names[0]}" and "{names[1]}"', hint, at_key=True)
    return chosen


def read_own_keys(
    r: Reader, path: Keypath, registry: Registry[type[S]], kind: type[S], read: Callable[[Keypath], Any]
) -> Fields:
    """Return what stands behind the keys of a kind, as `read` reads it; and note those of other kinds."""
    found: Fields = {}
    for key in r.keys(path):
        at = (*path, key)
        if key in kind.schemas:
            found[key] = read(at)
        elif of := next((name for name, member in registry.own.items() if key in member.schemas), None):
            r.add(at, f'"{key}" goes with "{of}", not with "{kind.kind}"', at_key=True)
    return found


def made(kind: type[S], found: Fields) -> S:
    """Return the source of what stands behind its keys."""
    attributes = {key: attribute for attribute, key in kind.renamed.items()}
    return kind(**{attributes.get(key, key): value for key, value in found.items()})
