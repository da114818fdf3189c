"""The results as tables of DuckDB."""
