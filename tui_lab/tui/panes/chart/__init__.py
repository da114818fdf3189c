"""The Chart pane."""
