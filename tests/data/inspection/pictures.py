"""Pictures made of noise that are as photos are to whoever compares them."""

import numpy as np
from PIL import Image

SIZE = (192, 128)  # Width and height.


def pictures(count, seed=0):
    """Return pictures with more in their low frequencies than in the high ones, as photos have."""
    generator = np.random.default_rng(seed)

    def layer(cells):
        coarse = generator.integers(0, 256, (cells, cells, 3)).astype("uint8")
        return np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC), "float32")

    mixed = [0.6 * layer(4) + 0.3 * layer(8) + 0.1 * layer(16) for _ in range(count)]
    return [Image.fromarray(pixels.astype("uint8")) for pixels in mixed]
