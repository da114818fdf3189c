"""The screen in a browser: a server on this machine, and a process of the screen for each tab."""
