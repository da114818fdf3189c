"""What draws a Chart: `terminal` with characters, `files` with matplotlib."""
