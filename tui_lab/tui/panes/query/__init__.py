"""The Query pane: an editor of SQL with completion, and its answers."""
