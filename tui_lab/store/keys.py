"""Task keys: the content hash that is a task's identity.

A key is SHA-256 over canonical, typed JSON: object members sorted by name, no white space, ASCII. `true`,
`1`, `1.0` and `"1"` are four values; -0.0 is 0.0. Empty components, and parameters that a combination leaves
out (null), are left out of the JSON, so that a later feature or a new parameter without a value changes no
key. The members are

    command      list of [step name or null, template]
    function     the function as the file names it, in place of `command`
    args         arguments by parameter, where they have other names
    files        target -> template text
    inputs       path -> digest of each declared input file
    parameters   name -> value, without those that are `unhashed`
    repeat       index from 0
    seed         where the command, its environment or a template uses {seed}, the command reads TUI_LAB_SEED,
                 or the file gives a seed
    version      of the file, where it is above 1

The key of a run of a stage has the same members, but `repeat` only where the stage begins repeats, and

    stage        its name
    stages       stage -> key of the run that it comes after, in hexadecimal; in a task's key also those of the other
                 last stages, which run beside it; where the stage collects the runs of one, a sorted list of keys

A task is a key and a version. The version is that of the file at first, and `--rerun` gives the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value

SIZE: Final = hashlib.sha256().digest_size  # of a key, in bytes


def digest(value: Any) -> str:
    """Hexadecimal SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def member(name: str, value: Value) -> bytes:
    """`"name":value,` as it stands in the canonical JSON of the parameters; empty for null."""
    if value is None:
        return b""
    return canonical(name) + b":" + canonical(value) + b","


def keys(
    constant: Mapping[str, Value],
    columns: Sequence[Iterable[bytes]],
    height: int,
    repeats: int,
    *,
    seeds: Sequence[int] | None = None,
    version: int = 1,
) -> Iterator[bytes]:
    """The keys of all tasks, combination by combination, repeats innermost.

    constant: the components that all tasks share (command, files, inputs). columns: for each hashed
    parameter, sorted by name, the `member` bytes of each combination. seeds: one for each repeat, where the
    seed joins the key. version: that of the file.
    """
    head = b"{" + b"".join(member(name, constant[name]) for name in sorted(constant) if constant[name])
    tails = []
    for repeat in range(repeats):
        seed = b"" if seeds is None else b',"seed":%d' % seeds[repeat]
        above = b',"version":%d' % version if version > 1 else b""
        tails.append(b'"repeat":%d%s%s}' % (repeat, seed, above))
    start = hashlib.sha256(head)
    rows: Iterator[tuple[bytes, ...]] = zip(*columns, strict=True) if columns else iter([()] * height)
    for row in rows:
        parameters = b"".join(row)
        combination = start.copy()
        if parameters:
            combination.update(b'"parameters":{' + parameters[:-1] + b"},")
        for tail in tails:
            task = combination.copy()
            task.update(tail)
            yield task.digest()


def stage_keys(
    constant: Mapping[str, Value], rows: Iterable[tuple[bytes, int | None, int | None, bytes]], version: int
) -> Iterator[bytes]:
    """The keys of runs of one stage. constant: the components that all share. rows: for each run the `member` bytes of
    its parameters in order, its repeat and its seed where they join the key, and the members of `stages`."""
    stage = constant["stage"]
    shared = {name: value for name, value in constant.items() if name != "stage"}
    head = b"{" + b"".join(member(name, shared[name]) for name in sorted(shared) if shared[name])
    start = hashlib.sha256(head)
    above = b',"version":%d' % version if version > 1 else b""
    for parameters, repeat, seed, after in rows:
        one = start.copy()
        if parameters:
            one.update(b'"parameters":{' + parameters[:-1] + b"},")
        if repeat is not None:
            one.update(b'"repeat":%d,' % repeat)
        if seed is not None:
            one.update(b'"seed":%d,' % seed)
        one.update(member("stage", stage)[:-1])
        if after:
            one.update(b',"stages":{' + after + b"}")
        one.update(above + b"}")
        yield one.digest()
