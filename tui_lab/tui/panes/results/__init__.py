"""The Results pane: the settings, best first."""
