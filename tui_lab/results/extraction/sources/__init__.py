"""How the values of metrics are found: one module for each kind of source, named as in `experiment.sources`."""
