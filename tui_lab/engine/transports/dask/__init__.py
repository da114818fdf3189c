"""Dask: each allocation is a future that holds an agent beside its worker."""
