"""Slurm: each allocation is a job whose batch script is the agent, and the engine talks to it through `srun`."""
