import re

from PIL import Image

from keras_transfer.data import sources
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.studies.check import montage


def folders(root, classes, each):
    for number in range(classes):
        (root / f"{number:03d}<").mkdir(parents=True)
        for index in range(each):
            Image.new("L", (8, 8), number).save(root / f"{number:03d}<" / f"{index}.png")
    return sources.load(str(root))


def test_some_pictures_of_each_class_are_drawn_and_of_many_classes_fewer(tmp_path):
    decoder = Decoder(16, "pad", 10**8)
    few = folders(tmp_path / "few", 3, 12)
    text = montage.section(few, decoder, tmp_path, 0)
    drawn = re.findall("href='few/(.*?)'", text)
    assert len(set(drawn)) == len(drawn) == 3 * 8
    assert text == montage.section(few, decoder, tmp_path, 0) != montage.section(few, decoder, tmp_path, 1)
    assert ">000&lt;</div>" in text
    many = montage.section(folders(tmp_path / "many", 203, 3), decoder, tmp_path, 0)
    assert many.count("<img") == 200 * 2
    assert "and 3 more classes" in many
