"""A module for each kind of chart; `tui_lab.results.charts.registry` lists them."""
