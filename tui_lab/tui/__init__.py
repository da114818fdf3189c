"""The full-screen lab."""
