"""The command line of the screen: `:` and a word for everything that can be done."""
