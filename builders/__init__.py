"""Dataset builders: raw questions in, and what this project wrote."""
