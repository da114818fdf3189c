"""Members of registries that nobody needs: what an outsider would add."""
