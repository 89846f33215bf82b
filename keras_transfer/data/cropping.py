"""What a centre crop leaves of pictures that are no squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_transfer.data import audit
from keras_transfer.data.examples import Examples

_MUCH, _MANY = 0.5, 0.25  # Share of a picture, and share of the pictures that lose as much.
_SAMPLE = 200  # Pictures that are looked at before training.


def warning(sizes: Sequence[tuple[int, int]]) -> str | None:
    """Return what `--resize crop` cuts away, and what to do, where it cuts away much of many pictures.

    Args:
        sizes: The two sides of each picture, px.
    """
    if not len(sizes):
        return None
    sides = np.asarray(sizes, "float64")
    lost = 1 - sides.min(1) / sides.max(1)
    share = float((lost >= _MUCH).mean())
    if share < _MANY:
        return None
    return (
        f"--resize crop cuts away half or more of {share:.0%} of the pictures (the median picture loses "
        f"{np.median(lost):.0%} of its area): --resize squash or --resize pad shows them whole."
    )


def sampled_sizes(examples: Examples) -> list[tuple[int, int]]:
    """Return height and width of up to 200 images spread over the examples, of those whose headers tell."""
    from keras_transfer.data.decoding.decode import announced_size

    positions = np.linspace(0, len(examples) - 1, min(len(examples), _SAMPLE)).astype("int64")
    contents = (audit.examine(examples.contents, examples.paths[position])[0] for position in positions)
    sizes = (announced_size(content) for content in contents)
    return [size for size in sizes if size and min(size) > 0]
