"""Metrics from the outputs of tasks."""
