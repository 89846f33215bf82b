"""Formats of a model besides the SavedModel, one module each."""
