"""The dashboard: how the current experiment goes, at a glance."""
