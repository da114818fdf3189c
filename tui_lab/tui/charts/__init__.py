"""Charts of rows as several panes draw them."""
