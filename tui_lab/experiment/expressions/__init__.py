"""SQL expressions in experiment.yaml, evaluated by DuckDB."""
