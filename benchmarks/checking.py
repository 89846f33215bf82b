"""What `check` costs beyond decoding: the whole report against a bare pass of TensorFlow's decoder."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.results import spread


@contextmanager
def photos(data: str, count: int, scale: int = 1) -> Iterator[str]:
    """Yield a folder of `count` photos, each another part of one of the photos given, at `scale` times its size."""
    from PIL import Image

    files = sorted(Path(data).rglob("*.jpg"))
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            file = files[number % len(files)]
            target = Path(folder) / file.parent.name / f"{number}.jpg"
            target.parent.mkdir(exist_ok=True)
            with Image.open(file) as photo:
                width, height = photo.size
                left, upper = generator.randrange(width // 3), generator.randrange(height // 3)
                box = (left, upper, width - generator.randrange(width // 3), height - generator.randrange(height // 3))
                photo.convert("RGB").crop(box).resize((width * scale, height * scale)).save(target, quality=90)
        yield folder


def ratios(folder: str, rounds: int) -> tuple[list[float], int]:
    """Return, for each round, the seconds of the report over those of bare decoding; and how many findings it has."""
    import tensorflow as tf

    from keras_transfer.data import pipeline
    from keras_transfer.recipe.recipe import Recipe
    from keras_transfer.studies.check.check import check
    from keras_transfer.support.progress import Progress

    files = [str(path) for path in sorted(Path(folder).rglob("*.jpg"))]

    def bare() -> None:
        def one(name: tf.Tensor) -> tf.Tensor:
            return tf.shape(tf.io.decode_jpeg(tf.io.read_file(name), channels=3))

        dataset = tf.data.Dataset.from_tensor_slices(files).map(one, num_parallel_calls=os.cpu_count())
        for _ in pipeline.steady(dataset):
            pass

    found, findings = [], 0
    for _ in range(rounds):
        begun = time.monotonic()
        findings = len(check(Recipe(data=folder), progress=Progress(quiet=True)).warnings)
        checked = time.monotonic() - begun
        begun = time.monotonic()
        bare()
        found.append(checked / (time.monotonic() - begun))
    return found, findings


def report(data: str, count: int, rounds: int) -> list[str]:
    """Return the table of `python -m benchmarks check`: small photos, and a twentieth as many of a megapixel."""
    lines = ["| photos | as large as | check / bare decoding | findings |", "|---|---|---|---|"]
    for number, scale, size in ((count, 1, "those given"), (count // 20, 4, "those given, times 4 each way")):
        with photos(data, number, scale) as folder:
            found, findings = ratios(folder, rounds)
        lines.append(f"| {number} | {size} | {spread(found)} | {findings} |")
    return lines
