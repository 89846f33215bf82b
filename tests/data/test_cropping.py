from PIL import Image

from keras_transfer.data import cropping, sources


def test_much_that_is_cropped_is_told_with_numbers():
    wide = [(240, 960)] * 6 + [(400, 400)] * 4
    assert cropping.warning(wide) == (
        "--resize crop cuts away half or more of 60% of the pictures (the median picture loses 75% of its area): "
        "--resize squash or --resize pad shows them whole."
    )
    assert cropping.warning([(300, 400)] * 9 + [(100, 400)]) is None
    assert cropping.warning([]) is None


def test_sizes_are_those_that_the_decoder_reads(tmp_path):
    for number in range(3):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (40 + number, 20)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    sizes = cropping.sampled_sizes(sources.load(str(tmp_path)))
    assert sorted(sizes) == [(20, 40), (20, 40), (20, 41), (20, 41), (20, 42), (20, 42)]
