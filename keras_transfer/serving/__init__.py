"""What a run leaves, and how it is used: version folders, the exported graph, predictions."""
