"""Arithmetic that floats alone would get wrong: exact sums, whole numbers beyond 2^53, quantiles."""
