"""Where the rows of a task are: one module for each kind of source."""
