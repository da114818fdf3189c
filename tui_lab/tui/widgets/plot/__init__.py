"""A chart in the screen: drawn in cells, with a crosshair, and parts of it enlarged."""
