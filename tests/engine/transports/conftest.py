from tests.engine.nodes.echo import echo
from tests.engine.nodes.fleet import fleet
from tests.services.dask import dask
from tests.services.slurm import slurm

__all__ = ["dask", "echo", "fleet", "slurm"]
