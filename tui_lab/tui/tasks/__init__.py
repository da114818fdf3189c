"""Tasks as several panes show them: their table, what running ones say, why some failed, how columns look."""
