"""From the bytes of an image file to pixels, in TensorFlow operations that training and the served graph share."""
