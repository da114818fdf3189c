"""Metrics that are offered for what tasks have written, so that no pattern has to be typed."""
