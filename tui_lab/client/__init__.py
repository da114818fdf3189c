"""What the command line and the screen both do with a lab: submit, follow, retry, stop, format."""
