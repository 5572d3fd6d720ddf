"""Tools that a response may call, by name."""
