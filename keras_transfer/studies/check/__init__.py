"""What is wrong with a data set, before training: findings on every image and label, and how they are shown."""
