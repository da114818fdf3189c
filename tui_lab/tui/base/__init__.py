"""What all panes use: actions, configuration, themes, workers."""
