"""The screen's app: frame, keys, palette and the watcher of the lab."""
