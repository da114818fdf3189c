"""Engines that grant nodes, as a cluster file names them."""
