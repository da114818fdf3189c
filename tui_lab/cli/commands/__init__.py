"""One module per subcommand; `run` is what `tui-lab --run` does."""
