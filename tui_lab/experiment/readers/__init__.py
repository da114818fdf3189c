"""Readers of the keys of experiment.yaml."""
