"""Cluster files: their model, reader and schema."""
