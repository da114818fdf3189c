"""Typed messages between processes: engine and agent, clients and engine."""
