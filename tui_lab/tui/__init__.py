"""What a person sees: the full-screen lab."""
