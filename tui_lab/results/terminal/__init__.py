"""What a terminal can show, and what must not reach it."""
