import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_transfer.data import sources
from keras_transfer.data.inspection import crops, duplicates, inspector
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress
from tests.data.inspection.pictures import pictures


def part(picture, share, right, down):
    """Cut a window of a share of each side, so far to the right and down as shares of what is left."""
    width, height = (share * side for side in picture.size)
    left, top = right * (picture.width - width), down * (picture.height - height)
    return picture.crop((round(left), round(top), round(left + width), round(top + height)))


def turned(picture, degrees, fill):
    return picture.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill)


CHANGES = {
    "cropped at a corner": lambda picture: part(picture, 0.9, 0, 1),
    "cropped at one side": lambda picture: part(picture, 0.87, 1, 0.4),
    "its caption cut away": lambda picture: picture.crop((0, 0, picture.width, round(0.85 * picture.height))),
    "zoomed in": lambda picture: part(picture, 0.81, 0.5, 0.5),
    "cropped and mirrored": lambda picture: ImageOps.mirror(part(picture, 0.85, 0.2, 0.9)),
    "turned to the left, corners black": lambda picture: turned(picture, 7, "black"),
    "turned to the right, corners white": lambda picture: turned(picture, -13, "white"),
    "turned and zoomed in": lambda picture: part(turned(picture, 6, "black"), 0.86, 0.5, 0.5),
    "turned and mirrored": lambda picture: ImageOps.mirror(turned(picture, 10, "grey")),
}


def copies_among(given):
    hashes, windows = {}, {}
    for number, picture in enumerate(given):
        # As files are: compressed, and shrunk to a square.
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=80)
        square = Image.open(file).resize((64, 64), Image.Resampling.BOX)
        pixels, name = np.asarray(square), str(number).encode()
        hashes[name] = np.packbits(duplicates.perceptual_hash(pixels)).tobytes()
        windows[name] = crops.windows(pixels, picture.width / picture.height)
    resembling = crops.resembling(hashes, windows, Progress(quiet=True))
    return {tuple(sorted((int(first), int(second)))) for first, seen in resembling.items() for second, _ in seen}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_among_others(change):
    originals = pictures(20)
    copies = [CHANGES[change](picture) for picture in originals[:5]]
    assert copies_among([*originals, *copies]) == {(number, 20 + number) for number in range(5)}


def test_pictures_that_are_all_alike_are_connected_by_few_links():
    (original,) = pictures(1)
    alike = [part(original, 0.9, right, down) for right in (0, 0.5, 1) for down in (0, 0.5, 1)]
    links = copies_among([original, *alike, *pictures(3, seed=1)])
    assert len(links) <= 9
    groups = duplicates.components(13, np.asarray(sorted(links)))
    assert len(set(groups[:10])) == 1
    assert len(set(groups[10:])) == 3


def test_nothing_is_like_nothing():
    assert not copies_among([])


def horizon(height, colour):
    """Return a picture of the sky above hills or dunes."""
    down, right = np.mgrid[:128, :192]
    sky = np.full((128, 192, 3), (120, 160, 220)) + down[..., None] * 0.5
    pixels = np.where((down < height + 2 * np.sin(right / 24))[..., None], sky, colour)
    noise = np.random.default_rng(height).normal(0, 4, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype("uint8"))


def test_plain_pictures_are_not_taken_for_parts_of_each_other(tmp_path):
    # Of a horizon, some window has the height of any other, whatever is below.
    for name, colour, first in (("desert", (200, 160, 100), 40), ("meadow", (60, 130, 50), 42)):
        (tmp_path / name).mkdir()
        for height in range(first, 90, 4):
            horizon(height, colour).save(tmp_path / name / f"{height}.png")
    listed = sources.load(str(tmp_path), Recipe(data=str(tmp_path)))
    _, inspections = inspector.inspect(listed, 10**6, Progress(quiet=True), closely=True)
    assert all(seen.comparable for seen in inspections)
    assert not [seen.resembles for seen in inspections if seen.resembles]


def test_photos_have_the_detail_that_plain_pictures_lack():
    small = [np.asarray(picture.resize((64, 64), Image.Resampling.BOX)) for picture in (*pictures(20), horizon(60, 20))]
    assert [crops.detailed(pixels) for pixels in small] == [True] * 20 + [False]
