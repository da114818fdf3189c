"""The History pane: submissions, and comparisons of two."""
