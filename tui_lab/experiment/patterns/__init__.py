"""Patterns of metrics: regular expressions with shorthands for values."""
