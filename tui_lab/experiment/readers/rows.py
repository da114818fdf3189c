"""Reads what `rows` says of tables that tasks print."""

from __future__ import annotations

from tui_lab.experiment.metric import Rows
from tui_lab.experiment.readers.metrics import ENUMS, MARKS, check_marks
from tui_lab.experiment.readers.sources import made, read_kind, read_own_keys
from tui_lab.experiment.record import Fields
from tui_lab.experiment.row_sources.kinds import KINDS
from tui_lab.experiment.yaml.reader import Keypath, Reader

_OWNER = '"rows"'


def read_rows(r: Reader, path: Keypath) -> Rows | None:
    """Return the rows that tasks print as tables, or None after noting what is wrong."""
    if r.empty(path):
        return None
    if r.node(path).kind != "mapping":
        r.wrong(path, f"a mapping with one of {', '.join(KINDS)}")
        return None
    before = len(r.problems)
    kind = read_kind(r, path, KINDS, MARKS, _OWNER, _OWNER)
    if kind is None:
        return None
    own = read_own_keys(r, path, KINDS, kind, lambda at: kind.read_key(r, at))
    found: Fields = {key: r.one_of((*path, key), ENUMS[key]) for key in r.keys(path) if key in MARKS}
    check_marks(r, path, found)
    for key in found if not kind.reads_numbers else ():
        r.add((*path, key), f'"{key}" is for reading numbers; "{kind.kind}" computes them', at_key=True)
    kind.check(r, path, own, _OWNER)
    return Rows(source=made(kind, own), **found) if len(r.problems) == before else None
