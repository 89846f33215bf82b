"""Images that are copies of one photo, as their names tell: augmented by a labelling service or program, or small."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np

# `STEM_jpg.rf.HASH.jpg`, as Roboflow exports each photo several times.
_ROBOFLOW = re.compile(r"(.+)_(?:jpe?g|png|gif|bmp|webp)\.rf\.[\w-]+", re.IGNORECASE)
# `CLASS_original_STEM.jpg_UUID.jpg`, as Augmentor writes.
_AUGMENTOR = re.compile(r".*_original_(.+?)(?:\.\w{3,4})?_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# `STEM_flip.jpg`, `STEM-150x150.jpg`, `thumb_STEM.jpg`: copies where STEM is there too; without it, who knows.
_MARKED = re.compile(
    r"(.+?)(?:[_-](?:[hv]?flip(?:ped)?|rot(?:ated?)?|mirror(?:ed)?|aug(?:mented)?|crop(?:ped)?|blur(?:red)?|nois[ey]"
    r"|bright(?:er)?|dark(?:er)?|thumb(?:nail)?|preview|small|\d+x\d+)(?:[_-]?\d+)*)+",
    re.IGNORECASE,
)
_PREFIXED = re.compile(r"(?:thumb(?:nail)?|preview|small|tn)[_-](.+)", re.IGNORECASE)
_SMALL = {"thumb", "thumbs", "thumbnail", "thumbnails", "preview", "previews"}  # Folders of smaller copies.


def by_name(paths: Sequence[str]) -> np.ndarray | None:
    """Return int64 `[N]`, equal for images whose names say that they are copies of one photo; None without such."""
    places = [_place(path) for path in paths]
    stems = set(places)
    originals = [_original(folder, stem, stems) for folder, stem in places]
    named = {original for original in originals if original is not None}
    numbers: dict[tuple[str, str], int] = {}
    groups = np.arange(len(paths), dtype="int64")
    for index, (original, place) in enumerate(zip(originals, places, strict=True)):
        key = original or place
        if key in named:
            groups[index] = numbers.setdefault(key, index)
    return groups if len(np.unique(groups)) < len(groups) else None


def describe(groups: np.ndarray, paths: Sequence[str]) -> str:
    """Return what the user should know of the groups of `by_name`."""
    counts = np.bincount(groups, minlength=len(groups))
    several = np.flatnonzero(counts > 1)
    example = os.path.basename(paths[int(np.flatnonzero(groups == several[0])[-1])])
    return (
        f"{int(counts[several].sum())} images are copies of {len(several)} photos by their names, as {example}: "
        "copies of one photo stay in one split."
    )


def _place(path: str) -> tuple[str, str]:
    folder, name = os.path.split(path)
    return folder, os.path.splitext(name)[0]


def _original(folder: str, stem: str, stems: set[tuple[str, str]]) -> tuple[str, str] | None:
    """Return folder and stem of the photo that an image is a copy of."""
    match = _ROBOFLOW.fullmatch(stem) or _AUGMENTOR.fullmatch(stem)
    if match:
        return folder, match[1]
    above, name = os.path.split(folder)
    if re.sub(r"[\W_]", "", name.lower()) in _SMALL and (above, stem) in stems:
        return above, stem
    match = _PREFIXED.fullmatch(stem) or _MARKED.fullmatch(stem)
    return (folder, match[1]) if match and (folder, match[1]) in stems else None
