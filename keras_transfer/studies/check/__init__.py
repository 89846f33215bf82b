"""What is wrong with a data set, before training: facts of every image, findings, and how they are shown."""
