"""Typed messages between processes: engine and agent."""
