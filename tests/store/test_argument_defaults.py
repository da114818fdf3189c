"""Defaults of the fields of dataclasses in keys: a new field invalidates nothing, a changed default does."""

from __future__ import annotations

import pytest

from tests.store.planner import Planner, Submission

CODE = """\
from dataclasses import dataclass, field

@dataclass
class Inner:
    rate: float = 1.0

@dataclass
class Opt:
    lr: float
    inner: Inner = field(default_factory=Inner)
    sizes: list = field(default_factory=lambda: [1, 2])
    names: list = field(default_factory=list)
    other: Inner = field(default_factory=lambda: Inner(2.0))
    momentum: float = 0.9

@dataclass
class Config:
    opt: Opt
    n: int = 3

def fit(opt: Opt): ...
def sole(cfg: Config): ...
def set_(opt: Opt = Opt(3)): ...
def optional(opt: Opt | None = None): ...
"""


def submit(planner: Planner, parameters: str, function: str = "fit", code: str = CODE) -> Submission:
    (planner.path / "train.py").write_text(code)
    return planner.submit(f"function: train.py::{function}\nparameters: {parameters}\n")


@pytest.mark.parametrize("function", ["fit", "sole", "fit at a stage"])
def test_a_new_field_with_a_default_changes_no_key(planner: Planner, function: str) -> None:
    def plan(parameters: str, code: str = CODE) -> Submission:
        if function.endswith("a stage"):
            (planner.path / "train.py").write_text(code)
            return planner.submit(f"stages: {{a: {{function: train.py::fit}}}}\nparameters: {parameters}\n")
        return submit(planner, parameters, function, code)

    plan("{opt.lr: [1, 2]}", CODE.replace("    momentum: float = 0.9\n", ""))
    assert plan("{opt.lr: [1, 2]}").new == []
    # Defaults may be given, also within fields and from factories.
    every = "opt.inner.rate: 1, opt.sizes: [[1, 2]], opt.names: [[]]"
    grown = plan(f"{{opt.lr: [1, 2], opt.momentum: [0.9, 0.5], {every}}}")
    assert len(grown.new) == 2 and grown.id(**{"opt.lr": 1, "opt.momentum": 0.9}) == 0
    assert len(plan("{opt.lr: [1, 2], opt.other.rate: 2.0}").new) == 2, "its default is none that the source tells"
    # A changed default joins: tasks that don't give it are others, and those that give the old one are known.
    changed = CODE.replace("momentum: float = 0.9", "momentum: float = 0.5")
    assert plan("{opt.lr: [1, 2], opt.momentum: 0.9}", changed).new == []
    assert plan("{opt.lr: [1, 2]}", changed).ids == [grown.id(**{"opt.lr": lr, "opt.momentum": 0.5}) for lr in (1, 2)]


def test_fields_whose_default_is_another_where_nothing_is_given_stay(planner: Planner) -> None:
    for function in ("set_", "optional"):
        first = submit(planner, "{opt.momentum: 0.9}", function)
        assert len(first.new) == 1
        assert len(submit(planner, "{}", function).new) == 1, "nothing given is another configuration"


def test_what_keys_have_held_stays_in_them(planner: Planner) -> None:
    # At first, the source tells nothing of the class: its fields are in the keys, as in labs of earlier versions.
    elsewhere = "from other import Opt\ndef fit(opt: Opt): ...\n"
    held = submit(planner, "{opt.lr: [1, 2], opt.momentum: 0.9}", code=elsewhere)
    other = submit(planner, "{opt.lr: [1, 2]}", code=elsewhere)
    assert submit(planner, "{opt.lr: [1, 2], opt.momentum: 0.9}").ids == held.ids
    assert submit(planner, "{opt.lr: [1, 2]}").ids == other.ids
    # Another field is not among them.
    assert submit(planner, "{opt.lr: [1, 2], opt.inner.rate: 1}").ids == other.ids
    # Where leaving a field out means something else by now, its default is in the key again.
    optional = CODE.replace("fit(opt: Opt)", "fit(opt: Opt | None = None)")
    assert len(submit(planner, "{opt.lr: [1, 2], opt.inner.rate: 1}", code=optional).new) == 2


ENUMS = """\
from dataclasses import dataclass, field
from enum import Enum

class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"

class Level(Enum):
    LOW = 1
    HIGH = 2

@dataclass
class Opt:
    level: Level = Level.LOW
    other: Mode = field(default=Mode("slow"))

def fit(x: int, opt: Opt = Opt(), mode: Mode = Mode.FAST, level: Level | None = Level.HIGH): ...
"""


def test_a_member_of_an_enum_is_a_default_by_value_and_by_name(planner: Planner) -> None:
    first = submit(planner, "{x: [1, 2]}", code=ENUMS)
    for given in ("mode: fast", "mode: FAST", "level: 2", "level: HIGH", "opt.level: 1", "opt.other: slow"):
        assert submit(planner, f"{{x: [1, 2], {given}}}", code=ENUMS).ids == first.ids, given
    slow = submit(planner, "{x: [1, 2], mode: [SLOW]}", code=ENUMS)
    assert len(slow.new) == 2
    changed = ENUMS.replace("mode: Mode = Mode.FAST", "mode: Mode = Mode.SLOW")
    assert submit(planner, "{x: [1, 2]}", code=changed).ids == slow.ids
    assert submit(planner, "{x: [1, 2], mode: fast}", code=changed).ids == first.ids
