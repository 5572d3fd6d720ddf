"""Where text comes from: local models, the dataset itself, and the store under them."""
