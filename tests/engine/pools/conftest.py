from tests.engine.nodes.fleet import fleet
from tests.services.slurm import slurm

__all__ = ["fleet", "slurm"]
