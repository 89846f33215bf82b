"""What is learnt: targets, outputs, losses and scores, and how a linear head for it is solved."""
