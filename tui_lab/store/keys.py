"""Task keys: the content hash that is a task's identity.

A key is SHA-256 over canonical, typed JSON: object members sorted by name, no white space, UTF-8. `true`, `1`, `1.0`
and `"1"` are four values; -0.0 is 0.0. Empty components, and parameters that a combination leaves out (null), are left
out of the JSON, so that a later feature or a new parameter without a value changes no key. The members are

    command      list of [step name or null, template]
    files        target -> template text
    inputs       digest of the declared input files
    parameters   name -> value, without those that are `unhashed`
    repeat       index from 0
    seed         where the command, its environment or a template uses {seed}

A task is a key and a version (1, 2, ...): the version grows with `version:` in the file and with `--rerun`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tui_lab.spec.canonical import canonical
from tui_lab.spec.values import Value


def digest(value: Any) -> str:
    """Hexadecimal SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def member(name: str, value: Value) -> bytes:
    """`"name":value,` as it stands in the canonical JSON of the parameters; empty for null."""
    if value is None:
        return b""
    return canonical(name) + b":" + canonical(value) + b","


def keys(
    constant: Mapping[str, Any], columns: Sequence[Iterator[bytes]], height: int, repeats: int, seeds: Sequence[int] | None
) -> Iterator[bytes]:
    """The keys of all tasks, combination by combination, repeats innermost.

    constant: the components that all tasks share (command, files, inputs). columns: for each hashed parameter, sorted
    by name, the `member` bytes of each combination. seeds: one for each repeat, where the seed joins the key.
    """
    head = b"{" + b"".join(member(name, constant[name]) for name in sorted(constant) if constant[name])
    tails = []
    for repeat in range(repeats):
        seed = b"" if seeds is None else b',"seed":%d' % seeds[repeat]
        tails.append(b'"repeat":%d%s}' % (repeat, seed))
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
