"""Charts: what they show, and how they are drawn in a terminal and into files."""
