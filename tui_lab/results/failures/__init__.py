"""Why tasks failed: the line that says it, kinds of failures, and what the tasks of a kind share."""
