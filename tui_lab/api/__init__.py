"""The Python interface: what `import tui_lab as tl` offers.

Its classes are what scripts and notebooks use; what they need is loaded when it is called.
"""

from __future__ import annotations

from tui_lab.api import domains
from tui_lab.api.domains import *  # noqa: F403
from tui_lab.api.errors import TasksFailed, TuiLabWarning
from tui_lab.api.experiment import Experiment
from tui_lab.api.lab import Lab
from tui_lab.api.plot import Plot
from tui_lab.api.run import Best, Run
from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.error import TuiLabError
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store.errors import LabError, StorageError

__all__ = [
    "Best",
    "Domain",
    "Experiment",
    "Lab",
    "LabError",
    "Plot",
    "Run",
    "SpecError",
    "StorageError",
    "TasksFailed",
    "TuiLabError",
    "TuiLabWarning",
]
__all__ += domains.__all__
