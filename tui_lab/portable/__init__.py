"""What both ends of a channel use. It travels to nodes with the agent: standard library only, Python 3.6 or newer."""
