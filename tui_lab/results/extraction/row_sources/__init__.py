"""How the rows of a task are read: one module for each kind of source."""
