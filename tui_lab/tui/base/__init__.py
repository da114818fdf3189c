"""What panes stand on: actions, configuration, themes, workers."""
