"""The Experiment pane: the editor of experiment.yaml, its plan, and trials of patterns."""
