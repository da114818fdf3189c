"""Reads the stages of an experiment, each by itself. What they are together is found in `stage_checks`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from tui_lab.experiment.names import name_error
from tui_lab.experiment.readers.needs import read_globs
from tui_lab.experiment.record import Fields, keys_of
from tui_lab.experiment.stages import PROGRAMS, Retain, StageKeys
from tui_lab.experiment.yaml.reader import Keypath, Reader

ALL = "all"  # of `uses`
NODE = "node"  # of `per`


def read_stages(
    r: Reader, path: Keypath, keys: Mapping[str, Callable[[Reader, Keypath], Any]]
) -> dict[str, Fields] | None:
    """Return the keys of each stage as they stand in the file. keys: readers of those that the experiment has, too."""
    if not r.is_mapping(path, "a mapping of stages, such as {prepare: {command: ./prepare.sh}}"):
        return None
    if not r.keys(path):
        r.add(path, '"stages" is empty', "each stage needs a command, as in: {prepare: {command: ./prepare.sh}}")
        return None
    found: dict[str, Fields] = {}
    folded: dict[str, str] = {}
    for name in r.keys(path):
        at = (*path, name)
        if error := name_error(name):
            r.add(at, *error, at_key=True)
        elif name.lower() in folded:
            r.add(at, f'the stages "{folded[name.lower()]}" and "{name}" differ only in case', at_key=True)
        folded.setdefault(name.lower(), name)
        found[name] = _stage(r, at, keys)
    return found


def _stage(r: Reader, path: Keypath, keys: Mapping[str, Callable[[Reader, Keypath], Any]]) -> Fields:
    if r.node(path).kind != "mapping":
        r.wrong(path, "a mapping, such as {command: ./prepare.sh}")
        return {}
    readers = {
        **keys,
        "uses": _uses,
        "after": Reader.texts,
        "per_repeat": Reader.boolean,
        "collect": _collect,
        "per": _per,
        "outs": _outs,
        "retain": _retain,
    }
    assert readers.keys() >= keys_of(StageKeys).keys()
    found = {key: readers[key](r, (*path, key)) for key in r.fields(path, readers, "a stage")}
    if all(key in r.keys(path) for key in PROGRAMS):
        r.add((*path, "function"), 'there are both "command" and "function"', "a stage does one of them", at_key=True)
    elif not any(key in r.keys(path) for key in PROGRAMS):
        r.add(path, f'the stage "{path[-1]}" has no "command"', "add one, as in: command: ./prepare.sh", at_key=True)
    return found


def _per(r: Reader, path: Keypath) -> str | None:
    return None if r.empty(path) else r.one_of(path, (NODE,))


def _outs(r: Reader, path: Keypath) -> tuple[str, ...] | None:
    if r.empty(path):
        return None
    return read_globs(r, path, "{output}", "globs are relative to the folder of a run")


def _retain(r: Reader, path: Keypath) -> str | None:
    found: str | None = None if r.empty(path) else r.one_of(path, get_args(Retain))
    return found


def _collect(r: Reader, path: Keypath) -> tuple[str, ...] | str | None:
    """Names of parameters; the word "all" for all."""
    found = _uses(r, path)
    if r.empty(path) or found == ():
        r.add(path, '"collect" is empty', "name the parameters over which the stage collects, as in: collect: [seed]")
        return None
    return found


def _uses(r: Reader, path: Keypath) -> tuple[str, ...] | str | None:
    """Names of parameters; the word "all" for all; None for those that the stage names."""
    if r.empty(path):
        return None
    if r.node(path).kind == "scalar" and r.node(path).text == ALL:
        return ALL
    return r.texts(path)
