"""Code for both ends of a channel. It is sent to nodes with the agent: standard library only, Python 3.6 or newer."""
