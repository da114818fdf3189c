"""The way to nodes by SSH: by asyncssh, or by the `ssh` program where the configuration asks for more."""
