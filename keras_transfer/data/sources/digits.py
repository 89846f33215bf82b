"""The built-in sample: scikit-learn's handwritten digits."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from keras_transfer.data.examples import Examples
from keras_transfer.data.sources import folders
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.paths import cache_folder


def load(source: str, recipe: Recipe) -> Examples:
    """List the digits, in class folders `0` to `9`."""
    return folders.load(_folder(), source, recipe)


def _folder() -> Path:
    """Return scikit-learn's bundled digits (1,797 scans of 8x8 px) as class folders of PNG files, written once."""
    folder = cache_folder() / "digits"
    if folder.is_dir():
        return folder
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.parent.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".digits-"))
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (staging / str(label)).mkdir(exist_ok=True)
        # The scans' 17 grey levels, 0..16, spread over 0..255.
        Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).save(staging / str(label) / f"{number:04d}.png")
    try:
        staging.rename(folder)
    except OSError:
        shutil.rmtree(staging)
        if not folder.is_dir():
            raise
    return folder
