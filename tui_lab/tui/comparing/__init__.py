"""Some settings, or some tasks, side by side."""
