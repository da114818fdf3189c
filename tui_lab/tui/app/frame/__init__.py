"""The lines around the panes: the lab and its runs above, the panes' names, the keys below."""
