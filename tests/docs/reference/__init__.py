"""What the code says about itself, as Markdown."""
