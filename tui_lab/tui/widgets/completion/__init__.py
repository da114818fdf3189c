"""Completion in text areas: what could be meant, a list of it, and the keys of the list."""
