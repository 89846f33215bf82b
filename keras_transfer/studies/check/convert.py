"""Copies of images in formats that TensorFlow does not decode, as PNG or JPEG files: `check --convert`."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_transfer.data.examples import Examples
from keras_transfer.data.sources import csv_table
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError
from keras_transfer.support.files import whole_folder
from keras_transfer.support.paths import demand_writable
from keras_transfer.support.progress import Progress

_QUALITY = 95


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        folder: Holds the copies, named and placed as the images are.
        written: Names of the images that were copied.
        refused: Name and reason of each image that Pillow does not decode either.
        table: Name in the folder of a copy of the table that lists the images, which names the copies; empty where the
            table has to be changed by hand, None where there is none.
    """

    folder: str
    written: list[str]
    refused: list[tuple[str, str]]
    table: str | None = None


def demand_new(folder: Path) -> None:
    """Raise `UsageError` unless a folder can be made here, or is empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--convert must be a new or empty folder. Received: {str(folder)!r}.")
    demand_writable(folder.absolute().parent, "--convert")


def convert(
    examples: Examples, rejected: Sequence[tuple[str, str]], folder: Path, recipe: Recipe, progress: Progress
) -> Converted:
    """Write upright copies of those rejected images that Pillow decodes: the folder appears whole or not at all.

    Args:
        examples: Whose images.
        rejected: Names and reasons of the images that cannot be used.
        folder: Is made; the copies stand in it as the images do below the examples' root.
        recipe: Gives the source, how its table is read, and the largest picture that is converted.
        progress: Is told about each image.
    """
    from PIL import UnidentifiedImageError

    written: dict[str, Path] = {}
    refused: list[tuple[str, str]] = []
    taken: set[Path] = {Path(examples.short(path)) for path in examples.paths}
    with whole_folder(folder) as staging, progress.task("Converting", len(rejected)) as advance:
        for name, reason in rejected:
            try:
                content, suffix = _encoded(examples.contents.read(name), recipe.max_pixels)
            except UnidentifiedImageError:
                refused.append((name, reason))
            except Exception as error:  # Pillow meets anything here.
                refused.append((name, str(error) or type(error).__name__))
            else:
                target = _free(_below(examples.short(name)), suffix, taken)
                (staging / target).parent.mkdir(parents=True, exist_ok=True)
                (staging / target).write_bytes(content)
                written[name] = target
            advance(1)
        table = _with_table(examples, written, staging, recipe) if written else None
    return Converted(str(folder), list(written), refused, table)


def _with_table(examples: Examples, copies: Mapping[str, Path], folder: Path, recipe: Recipe) -> str | None:
    """Write the table that lists the images as it names the copies, and return its name, as `Converted` has it."""
    file = Path(recipe.data).expanduser()
    if file.suffix.lower() not in csv_table.SUFFIXES or not file.is_file():
        return None
    if any(Path(examples.short(name)).parent != target.parent for name, target in copies.items()):
        return ""  # They lie outside of the table's folder.
    content = csv_table.with_names(file, recipe, {name: target.name for name, target in copies.items()})
    if content is None:
        return ""
    (folder / file.name).write_bytes(content)
    return file.name


def _encoded(content: bytes, max_pixels: int) -> tuple[bytes, str]:
    """Return a picture as a file, and its extension: PNG where it may have been without loss, JPEG for photos."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > max_pixels:
                raise ValueError(f"has {image.width * image.height:,} pixels, more than --max-pixels {max_pixels:,}")
            image.load()
            lossy = image.format in ("AVIF", "HEIF", "WEBP", "JPEG", "MPO") and not image.has_transparency_data
            upright = ImageOps.exif_transpose(image)
        if upright.mode not in ("L", "RGB", "LA", "RGBA", "I;16"):
            upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        stream = io.BytesIO()
        if lossy:
            upright.convert("RGB").save(stream, "JPEG", quality=_QUALITY, subsampling=0)
        else:
            upright.save(stream, "PNG", exif=b"")
        return stream.getvalue(), ".jpg" if lossy else ".png"


def _below(name: str) -> Path:
    """Return a relative name that does not lead out of the folder."""
    return Path(*[part for part in Path(name).parts if part not in ("..", os.sep)])


def _free(name: Path, suffix: str, taken: set[Path]) -> Path:
    """Return the name with another extension; with both where another image has that name."""
    target = name.with_suffix(suffix)
    if target in taken:
        target = name.with_name(name.name + suffix)
    taken.add(target)
    return target
