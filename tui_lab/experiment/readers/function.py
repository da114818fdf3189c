"""Reads what a task calls: a Python function, its interpreter, and what its arguments are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from tui_lab.experiment.function import FORMS, Function, parse_function
from tui_lab.experiment.model import BUILT_IN, Repeat
from tui_lab.experiment.readers.argument_values import ArgumentValues, check_values
from tui_lab.experiment.record import Fields
from tui_lab.experiment.signature import Signature, SignatureError, read_signature
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader

SEED: Final = "seed"
"""The argument that takes the task's seed."""
_SWEPT: Final = ("parameters", "defaults", "derive")
"""Keys under which a parameter is a key."""


def read_function(r: Reader, path: Keypath) -> Function | None:
    """Return the function that a text names, or None after noting what is wrong."""
    text = r.text(path)
    if text is None:
        return None
    try:
        return parse_function(text)
    except ValueError as error:
        r.add(path, str(error), FORMS)
        return None


def read_python(r: Reader, path: Keypath) -> str | None:
    """Return the interpreter: a name, or a path, which is relative to the experiment's file."""
    text = r.optional_text(path)
    if text is None or "/" not in text or text.startswith(("/", "~")):
        return text
    return str(r.folder / text)


def read_args(r: Reader, path: Keypath) -> dict[str, str]:
    """Return arguments by the parameter that they take."""
    if r.empty(path) or not r.is_mapping(path, "a mapping of parameters and arguments"):
        return {}
    found: dict[str, str] = {}
    for name in r.keys(path):
        argument = r.text((*path, name))
        if argument is None:
            continue
        if not all(part.isidentifier() for part in argument.split(".")):
            r.add((*path, name), f'"{argument}" can\'t be the name of an argument')
        elif argument in found.values():
            r.add((*path, name), f'two parameters are for the argument "{argument}"')
        found[name] = argument
    return found


def check_function(r: Reader, given: Fields, parameters: Mapping[str, Keypath], copied: bool) -> Signature | None:
    """Return the signature of the function, after noting what does not go together. parameters: each, and where it
    stands. copied: the file is the lab's copy, so the function may be another by now."""
    function = given.get("function")
    if function is None:
        for key in ("python", "args", "per_repeat", "start_method"):
            if r.has((key,)) and not r.has(("function",)):
                r.add((key,), f'"{key}" goes with "function"', at_key=True)
        return None
    try:
        found = read_signature(function, r.folder)
    except (OSError, SignatureError) as error:
        if not copied:
            note_missing(r, ("function",), function, error)
        return None
    args: Mapping[str, str] = given.get("args") or {}
    check_args(r, ("args",), args, parameters)
    _check_repeats(r, given, found)
    if found is not None and not copied:
        check_arguments(r, Call(function, found, args), given, parameters)
        check_values(r, given, ArgumentValues(function, found, args), parameters)
    return found


def note_missing(r: Reader, path: Keypath, function: Function, error: OSError | SignatureError) -> None:
    """Note why there is no such function. path: where it is named."""
    if isinstance(error, SignatureError):
        r.add(path, str(error), suggest(function.name or "", error.names))
    else:
        what = error.strerror or str(error)
        r.add(path, f"{function.file or function.module}: {what}", f"looked for in {r.folder}")


def _check_repeats(r: Reader, given: Fields, signature: Signature | None) -> None:
    """Note repeats that would all be the same."""
    repeat = given.get("repeat")
    count = repeat.max if isinstance(repeat, Repeat) else repeat
    takes = signature is not None and (given.get("args") or {}).get(SEED, SEED) in signature.names
    if count is not None and count > 1 and not takes and not given.get("per_repeat"):
        message = f"the repeats of {given['function'].text} would all be the same"
        r.add(("repeat",), message, f'give it a "{SEED}", or write per_repeat: true')


def check_args(
    r: Reader, path: Keypath, args: Mapping[str, str], parameters: Collection[str], stages: Collection[str] = ()
) -> None:
    """Note names among `args` that stand for nothing. path: of `args`. stages: those whose values it may take."""
    for name in args:
        if name not in parameters and name not in stages and name not in BUILT_IN:
            what = "parameter or stage" if stages else "parameter"
            hint = suggest(name, (*parameters, *stages))
            r.add((*path, name), f'there is no {what} "{name}"', hint, at_key=True)


@dataclass(frozen=True)
class Call:
    """A function that is called. at: the stage at which it stands, if it is one. given: the arguments that stages
    before it give."""

    function: Function
    signature: Signature
    args: Mapping[str, str]
    at: Keypath = ()
    given: Collection[str] = ()


def check_arguments(r: Reader, call: Call, given: Fields, parameters: Mapping[str, Keypath]) -> None:
    """Note parameters that the function does not take, and arguments that nothing gives. given: the keys of the
    experiment. parameters: those that it is passed, and where they stand."""
    args, signature = call.args, call.signature
    wanted = {args.get(name, name).split(".")[0]: path for name, path in parameters.items()}
    wanted |= {args[name].split(".")[0]: (*call.at, "args", name) for name in args if name not in parameters}
    if not signature.takes_all:
        bundles = {name for sweep in given.get("parameters") or () for name, one in sweep.items() if one.inner_names}
        for name, path in wanted.items():
            if name not in signature.names and name not in bundles:
                hint = suggest(name, signature.names) or f"it takes {', '.join(signature.names) or 'none'}"
                r.add(path, f'{call.function.text} has no argument "{name}"', hint, at_key=path[0] in _SWEPT)
    for name in signature.needs:
        if name not in wanted and name not in call.given and name != SEED:
            message = f'nothing gives the argument "{name}" of {call.function.text}'
            r.add((*call.at, "function"), message, "add it to parameters or defaults")
