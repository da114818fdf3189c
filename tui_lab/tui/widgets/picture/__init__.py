"""Pictures in cells of a terminal."""
