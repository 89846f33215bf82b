"""The built-in sample: scikit-learn's handwritten digits."""

from __future__ import annotations

from pathlib import Path

from keras_transfer.data.examples import Examples
from keras_transfer.data.sources import folders
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.files import whole_folder
from keras_transfer.support.paths import readable_cache_folders, writable_cache_folder


def load(source: str, recipe: Recipe) -> Examples:
    """List the digits, in class folders `0` to `9`."""
    return folders.load(_folder(), source, recipe)


def _folder() -> Path:
    """Return scikit-learn's bundled digits (1,797 scans of 8x8 px) as class folders of PNG files, written once."""
    for cache in (*readable_cache_folders(), writable_cache_folder()):
        folder = cache / "digits"
        if folder.is_dir():
            return folder
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    try:
        with whole_folder(folder) as staging:
            for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
                (staging / str(label)).mkdir(exist_ok=True)
                # The scans' 17 grey levels, 0..16, spread over 0..255.
                levels = (pixels * (255 / 16)).round().astype("uint8")
                Image.fromarray(levels).save(staging / str(label) / f"{number:04d}.png")
    except OSError:
        if not folder.is_dir():  # Otherwise another run has just written it.
            raise
    return folder
