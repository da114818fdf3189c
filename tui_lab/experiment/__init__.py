"""What an experiment is: its file, its values and its commands. Nothing is run or stored here."""
