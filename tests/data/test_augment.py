import numpy as np

from keras_transfer.data import augment


def pictures(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3)).astype("uint8")


def test_pictures_change_and_stay_pictures():
    changed = augment.change(pictures(), 0, 0, True).numpy()
    assert (changed.dtype, changed.shape) == (np.uint8, (6, 32, 32, 3))
    assert all((one != other).any() for one, other in zip(changed, pictures(), strict=True))
    assert len({picture.tobytes() for picture in augment.change(pictures()[[0] * 6], 0, 0, True).numpy()}) == 6


def test_a_seed_and_a_number_give_the_same_again():
    first = augment.change(pictures(), 2, 3, True).numpy()
    np.testing.assert_array_equal(first, augment.change(pictures(), 2, 3, True))
    for number, seed in ((2, 4), (3, 3), (2, 2**40)):
        assert (first != augment.change(pictures(), number, seed, True).numpy()).any()


def test_digits_are_not_mirrored():
    half = np.zeros((64, 32, 48, 3), "uint8")
    half[:, :, :24] = 200
    for flip, expected in ((False, 64), (True, 32)):
        changed = augment.change(half, 0, 1, flip).numpy().astype(float)
        unturned = (changed[:, :, :24].mean((1, 2, 3)) > changed[:, :, 24:].mean((1, 2, 3))).sum()
        assert abs(unturned - expected) <= (12 if flip else 0)


def test_a_part_of_the_picture_fills_it(monkeypatch):
    """A ramp over the picture tells which part: its ends are values of the ramp, its area and shape within limits."""
    rows, columns = np.mgrid[:101, :101].astype("uint8") * 2
    ramps = np.stack([rows, columns, columns], 2)[None].repeat(200, 0)
    monkeypatch.setattr(augment, "_BRIGHTNESS", 0)
    monkeypatch.setattr(augment, "_CONTRAST", 0)
    changed = augment.change(ramps, 0, 0, True).numpy() / 200
    height = changed[:, -1, 50, 0] - changed[:, 0, 50, 0]
    width = np.abs(changed[:, 50, -1, 1] - changed[:, 50, 0, 1])
    area, shape = width * height, width / height
    assert 0.65 < area.min() < 0.75
    assert 0.95 < area.max() <= 1
    assert 3 / 4 - 0.02 < shape.min() < 0.85
    assert 1.2 < shape.max() < 4 / 3 + 0.02
    at_the_top, at_the_bottom = changed[:, 0, 50, 0] < 0.005, changed[:, -1, 50, 0] > 0.995
    assert 0 < at_the_top.mean() < 0.5
    assert 0 < at_the_bottom.mean() < 0.5


def test_views_draw_for_each_image_alone():
    digests = [number.to_bytes(16, "big") for number in range(2000)]
    view = augment.View(1, 0, True)
    draws = np.stack(list(map(view.draws, digests)))
    assert (draws.shape, draws.dtype) == ((2000, 7), np.float32)
    np.testing.assert_array_equal(view.draws(digests[7]), draws[7])
    assert np.abs(draws).max() <= 1
    assert np.abs(draws.mean(0)).max() < 0.06
    assert np.abs(np.corrcoef(draws.T) - np.eye(7)).max() < 0.1
    for other in (augment.View(2, 0, True), augment.View(1, 1, True), augment.View(0, 1, True)):
        of_other = np.stack(list(map(other.draws, digests)))
        assert np.abs(np.corrcoef(draws[:, 0], of_other[:, 0])[0, 1]) < 0.1
