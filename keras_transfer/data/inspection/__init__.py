"""What is seen of images before training: each is read, decoded and hashed once, for `fit` and `check` alike."""
