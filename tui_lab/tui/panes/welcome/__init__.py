"""The pane that is shown where there is no lab yet."""
