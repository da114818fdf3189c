"""The engine: the scheduler core, and around it what starts, sends and records."""
