"""The Nodes pane."""
