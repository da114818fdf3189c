"""The kinds of domain, a module each."""
