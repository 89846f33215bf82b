"""What the reports of tasks have in common, and what they say of single classes."""
