"""Panels: the bordered parts that panes are made of."""
