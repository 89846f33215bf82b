"""The two phases: a head solved or trained on embeddings, then the thawed blocks trained on stored activations."""
