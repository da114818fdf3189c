"""The Tasks pane: a table of tasks, and the log of one."""
