"""All kinds of domain: who adds one adds its module to this package, and its class here. Other packages bring theirs as
entry points of `tui_lab.domains`."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.domains.cases import Cases
from tui_lab.experiment.domains.choice import Choice
from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.geomspace import Geomspace
from tui_lab.experiment.domains.linspace import Linspace
from tui_lab.experiment.domains.loguniform import LogUniform
from tui_lab.experiment.domains.randint import RandInt
from tui_lab.experiment.domains.range import Range
from tui_lab.experiment.domains.uniform import Uniform
from tui_lab.experiment.registry import Registry, by_kind

_OWN: Final = (Range, Linspace, Geomspace, Cases, Uniform, LogUniform, RandInt, Choice)
KINDS: Final[Registry[type[Domain]]] = Registry("tui_lab.domains", Domain, by_kind(_OWN))
"""By the key that stands in the file, in the order of the reference."""
