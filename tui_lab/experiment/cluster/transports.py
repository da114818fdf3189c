"""Ways to nodes, as a cluster file names them: a node has a key of the transport's name, with what the transport is to
know. Without one, a node with a `host` is reached by SSH, and one without is this machine.

Other packages bring theirs as entry points: of `tui_lab.node_keys` for the file, and of `tui_lab.transports` for the
engine, under the same name.
"""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.cluster.node_key import NodeKey as NodeKey
from tui_lab.experiment.cluster.pools.dask import Dask
from tui_lab.experiment.cluster.pools.ray import Ray
from tui_lab.experiment.cluster.pools.slurm import Slurm
from tui_lab.experiment.registry import Registry

KEYS: Final[Registry[type[NodeKey]]] = Registry(
    "tui_lab.node_keys", NodeKey, {"slurm": Slurm, "dask": Dask, "ray": Ray}
)
"""By name. Those to single nodes follow from `host`."""
