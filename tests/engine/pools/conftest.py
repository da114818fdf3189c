from tests.services.slurm import slurm

__all__ = ["slurm"]
