"""The engine: the scheduler core, and around it the parts that connect, transfer and record."""
