"""How good a model is, on images it did not see."""
