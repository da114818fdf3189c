"""TUI Lab: from "what if I try these settings" to "this one is best", in one terminal."""

__version__ = "0.1.0"
