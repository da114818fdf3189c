"""How the tasks of a plan become messages with which an agent runs them."""
