from tests.services.dask import dask
from tests.services.slurm import slurm

__all__ = ["dask", "slurm"]
