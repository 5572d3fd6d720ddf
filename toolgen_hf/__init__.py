"""Training data that teaches a language model when and how to call a tool."""
