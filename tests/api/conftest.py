"""Machines for tests of the Python interface."""

from __future__ import annotations

from tests.engine.nodes.fleet import fleet

__all__ = ["fleet"]
