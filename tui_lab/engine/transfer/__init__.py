"""Files between this machine and nodes."""
