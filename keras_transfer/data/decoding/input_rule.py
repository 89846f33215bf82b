"""How a photo becomes the square that a network takes, for those who do it without this program: an exported file takes
pixels, and answers otherwise where they were resized otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras_transfer.recipe.options import AUTO, INTERPOLATIONS
from keras_transfer.recipe.recipe import Recipe

ANTIALIAS_FROM = 2  # Times that the longer side shrinks: below that it costs 4 ms a photo and changes little.
JPEG_SCALES = (2, 4, 8)  # Of libjpeg's scaled DCT, beyond 1.

_SHOWN = {
    "crop": "its largest centred square is resized to {size} x {size}",
    "squash": "the whole picture is squashed to {size} x {size}",
    "pad": "the whole picture is resized to fit into {size} x {size}",
}


@dataclass(frozen=True)
class InputRule:
    """The rule of `decode.py`, as far as it depends on a recipe.

    Attributes:
        size: Side of the square, px.
        resize: `crop`, `squash` or `pad`.
        enlarge: `bilinear` or `bicubic`.
    """

    size: int
    resize: str
    enlarge: str

    @classmethod
    def of(cls, recipe: Recipe, size: int) -> InputRule:
        """Return the rule of a recipe; one that leaves open how pictures are enlarged has the first way."""
        return cls(size, recipe.resize, INTERPOLATIONS[0] if recipe.enlarge == AUTO else recipe.enlarge)

    def fields(self) -> dict[str, Any]:
        """Return what a program needs to do alike, as JSON holds it."""
        return {
            **asdict(self),
            "shrink": INTERPOLATIONS[0],
            "antialias_from": ANTIALIAS_FROM,
            "jpeg_scales": list(JPEG_SCALES),
            "rounded_to": "uint8",
            "exif_orientation": "applied",
            "channels": "RGB",
            "values": [0, 255],
        }

    def __str__(self) -> str:
        """Return it in words, for people."""
        size, first = self.size, INTERPOLATIONS[0]
        how = "" if self.enlarge == first else f"by {self.enlarge} interpolation where no side shrinks, otherwise "
        shrinks = "half" if ANTIALIAS_FROM == 2 else f"1/{ANTIALIAS_FROM}"
        scales = [str(scale) for scale in JPEG_SCALES]
        return (
            f"Input: RGB pixels 0..255, [N, {size}, {size}, 3]. Of a photo, {_SHOWN[self.resize].format(size=size)} "
            f"{how}by {first} interpolation, antialiased only where the longer side shrinks to {shrinks} or less, and "
            f"rounded to uint8{'; the rest is black' * (self.resize == 'pad')}; its EXIF orientation is applied. A "
            f"JPEG whose shorter side is {', '.join(scales[:-1])} or {scales[-1]} times {size} px or more is decoded "
            f"at 1/{', 1/'.join(scales[:-1])} or 1/{scales[-1]} before that."
        )
