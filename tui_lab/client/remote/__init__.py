"""A lab on another machine: over one SSH connection, a helper beside it feeds a mirror here."""
