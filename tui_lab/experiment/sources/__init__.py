"""Where the value of a metric is: one module for each kind of source."""
