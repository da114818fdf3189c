"""What calls a Python function in the process of its task. It travels with the task as source, so its modules import
each other relatively: there, the package has another name."""
