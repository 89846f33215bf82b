"""Serving a model over HTTP: the embedded server, TensorFlow Serving, and a client of both."""
