"""Ray: each allocation is a detached actor that holds an agent."""
