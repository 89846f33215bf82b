"""Training: methods of transfer and their phases, on stored activations or pixels, with a state to resume from."""
