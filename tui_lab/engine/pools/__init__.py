"""Allocations that engines have granted: what was asked for, what has come of it, and the nodes that they are."""
