"""Pictures of 16 bits whose values need fewer: scanners and microscopes write 10 to 14, which are nearly black."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from keras_transfer.data import audit
from keras_transfer.data.examples import Examples

_FULL_BITS = 15  # Of 16; a set of pictures whose values need fewer was not scaled.
_SAMPLE, _HUGE = 50, 40_000_000  # Pictures that are looked at before training; width times height of those too large.
_GREY_OF_16_BITS = b"\x10\x00"  # Depth and kind of colour in the header of a PNG file, from byte 24 on.


def warning(peaks: Sequence[int]) -> str | None:
    """Return what the decoder makes of values that fill no 16 bits, and what to do; None if they fill them.

    Args:
        peaks: The largest value of each grey picture with 16 bits a pixel.
    """
    peak = max(peaks, default=0)
    if not 255 < peak < 2**_FULL_BITS:
        return None
    bits = peak.bit_length()
    return (
        f"{len(peaks)} pictures of 16 bits hold values up to {peak:,} only ({bits} bits): of 256 grey levels "
        f"{peak // 256 + 1} are left. Multiply the values by {2 ** (16 - bits)} and write them again"
    )


def sampled_peaks(examples: Examples) -> list[int]:
    """Return the largest value of each grey PNG file of 16 bits among up to 50 images spread over the examples."""
    from PIL import Image

    positions = np.linspace(0, len(examples) - 1, min(len(examples), _SAMPLE)).astype("int64")
    peaks = []
    for position in positions:
        content, fault = audit.examine(examples.contents, examples.paths[position])
        if fault is None and content[24:26] == _GREY_OF_16_BITS and content[1:4] == b"PNG":
            try:
                with Image.open(io.BytesIO(content)) as image:
                    peaks.append(int(np.asarray(image).max()) if image.width * image.height <= _HUGE else 0)
            except Exception:  # Pillow meets anything here; it would only have been a warning.
                continue
    return [peak for peak in peaks if peak]
