"""A table of a Polars frame."""
