"""What people look at: the terminal (screen), the dataset card, plots, and the HTML report."""
