"""The panes of the screen, a module or package each."""
