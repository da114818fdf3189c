"""Commands and placeholders as constant shell text."""
