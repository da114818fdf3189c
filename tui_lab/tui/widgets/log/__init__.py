"""The view of a log, which may be large, grow, and be on another machine."""
