"""The network of a run: bases, their weights, what is built around them, and where it is cut."""
